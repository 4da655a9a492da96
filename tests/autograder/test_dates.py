"""Is a date read as it is meant, in the zone it names, and one that is not all there refused?"""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from autograder.dates import in_utc

EVENING = datetime(2031, 5, 24, 23, 30)
WRITTEN = {
    "2031-05-24 11:30 PM": 0,
    "24 May 2031 11.30pm": 0,
    "2031-05-24 23:30": 0,
    "2031-05-24 23:30 UTC": 0,
    "2031-05-24T23:30:00+02:00": 2,
    "2031-05-24 11:30 PM +0200": 2,
    "2031-05-24 23:30 CEST": 2,
    "2031-05-24 11:30 PM EDT": -4,
    "2031-05-24 23:30 Europe/Berlin": 2,
    "2031-05-24 11:30 PM America/Argentina/Buenos_Aires": -3,
}


@pytest.mark.parametrize("text", WRITTEN)
def test_the_evening_is_the_evening_in_its_zone(text):
    assert in_utc(text) == EVENING - timedelta(hours=WRITTEN[text])


def test_a_zone_has_its_summer_and_its_winter():
    for month in (1, 7):
        truth = datetime(2031, month, 1, 12, tzinfo=ZoneInfo("Europe/Berlin")).astimezone(ZoneInfo("UTC"))
        assert in_utc(f"2031-{month:02d}-01 12:00 Europe/Berlin") == truth.replace(tzinfo=None)


@pytest.mark.parametrize("text", ["2031-05-24", "24 May 2031", "2031-05-24 Europe/Berlin"])
def test_a_date_alone_is_its_first_second_or_the_whole_day(text):
    begins = in_utc(text)
    assert begins == datetime(2031, 5, 24) - timedelta(hours=2 * ("Berlin" in text))
    assert in_utc(text, whole_day=True) - begins == timedelta(hours=24, seconds=-1)
    assert in_utc("2031-05-24 00:00", whole_day=True) == datetime(2031, 5, 24)


NONE = ["", "tomorrow", "11:30 PM", "24", "May 2031", "2031-05-24 23:30 XYZT", "2031-05-24 23:30 Nowhere/Atall"]
NONE += ["2031-02-30", "9999-12-31 23:59 -2359", "9" * 90, "0001-01-01 00:00:00 +2359", "=1+1", "T" * 90]


@pytest.mark.parametrize("text", NONE)
def test_what_is_no_date_is_refused_in_one_line(text):
    with pytest.raises(ValueError) as caught:
        in_utc(text)
    assert "\n" not in str(caught.value)
