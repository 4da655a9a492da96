"""What keeps a hostile process: where a submission's cells run, what they may use, and how they are ended.

`template` is the warm process behind bubblewrap (`enclosure` has its command), which `kept` leaves for the next command
where that is wanted; `guest` is one submission's process,
forked from it and asked within `limits`; `supervisor` watches what it uses in all, by `cgroups` where `delegation`
finds a place for them, else by `accounts`. What runs on the other side of the wall is `autograder.sandbox`.
"""
