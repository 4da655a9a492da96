"""`python -m course_lib.doctor`."""

import sys

from course_lib.doctor import main

if __name__ == "__main__":
    sys.exit(main())
