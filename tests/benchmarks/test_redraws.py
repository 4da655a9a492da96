"""What the widget benchmark drags, and what it writes."""

from benchmarks.widgets import RANDOM_PLACES, Cost, as_text, places

SLIDERS = {"size": (0.5, 4.0, 1.0), "steps": (1, 9, 3), "kind": ["line", "curve", "bar"], "bold": False}


def test_every_control_is_dragged_to_its_ends_and_all_at_random():
    found = list(places(SLIDERS))
    default = {"size": 1.0, "steps": 3, "kind": "line", "bold": False}
    ends = [("size", 0.5), ("size", 4.0), ("steps", 1), ("steps", 9), ("kind", "bar"), ("bold", True)]
    assert found[0] == default
    assert found[1 : 1 + len(ends)] == [default | {name: value} for name, value in ends]
    chance = found[1 + len(ends) :]
    assert len(chance) == RANDOM_PLACES and len({place["size"] for place in chance}) == RANDOM_PLACES
    assert all(0.5 <= p["size"] <= 4 and p["steps"] in range(1, 10) and p["kind"] in SLIDERS["kind"] for p in chance)
    assert chance == list(places(SLIDERS))[1 + len(ends) :]  # the same every time


def test_the_page_counts_who_meets_the_goal():
    costs = [Cost("01-a", "draw_one", 10, 80.0, 90.0, "x 1"), Cost("01-a", "draw_two", 10, 120.0, 300.0, "x 2")]
    page = as_text(costs, "a processor", 2.0)
    assert "1 of 2 widgets meet the goal of 100" in page
    assert "| 01-a | `draw_two` | 10 | 120 | 300 | x 2 |" in page
