from tests.doors.conftest import clock as clock
