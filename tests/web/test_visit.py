"""One request from its coming to its row: told once, when nobody works on it any more."""

import asyncio

import pytest

from sidecar.admission import CLIENT_LEFT, Admission, RateLimit
from sidecar.errors import RateLimitedError
from sidecar.events import Observers, RequestRow
from sidecar.trail import Trail
from sidecar.web.visit import Visit


class Watched:
    """A visit, the rows told of it and how often it ended."""

    def __init__(self, trail: Trail) -> None:
        self.rows: list[RequestRow] = []
        self.ends = 0
        self.visit = Visit(trail, Observers(self.rows.append), self._ended)

    def _ended(self) -> None:
        self.ends += 1

    async def told(self) -> list[tuple[int, str]]:
        """Status and error of each row so far."""
        await asyncio.sleep(0)
        return [(row.status, row.error) for row in self.rows]

    @property
    def words(self) -> list[str]:
        """What the row notes."""
        return [f"{each.stage} {each.word}" for each in self.rows[0].decisions]


@pytest.fixture
def watched(make_call, clock) -> Watched:
    """A request that has just come."""
    return Watched(Trail(make_call(), clock))


async def test_a_reply_ends_it(watched):
    """The row is told afterwards, so that nobody waits for observers."""
    watched.visit.leave(200)
    assert (watched.ends, watched.rows) == (1, [])
    assert await watched.told() == [(200, "")]


async def test_an_error_is_in_the_row(watched):
    """By its word."""
    watched.visit.failed("rate_limited")
    watched.visit.leave(429)
    assert await watched.told() == [(429, "rate_limited")]


async def test_a_client_that_leaves_is_in_the_row(watched):
    """By its status."""
    watched.visit.leave(CLIENT_LEFT)
    assert await watched.told() == [(CLIENT_LEFT, "")]


async def test_work_outlives_its_client(watched):
    """One row, with what came of the work, and that nobody waited for it."""
    with watched.visit.in_hand():
        watched.visit.is_handed_over = True
        watched.visit.leave(CLIENT_LEFT)
        assert (watched.ends, await watched.told()) == (0, [])
        watched.visit.status = 200
    assert (watched.ends, await watched.told()) == (1, [(200, "")])
    assert watched.words == ["client left"]


async def test_a_client_that_left_before_the_work_began_is_noted_too(watched):
    """Its row is not told twice."""
    with watched.visit.in_hand():
        watched.visit.leave(CLIENT_LEFT)
        watched.visit.is_handed_over, watched.visit.status = True, 200
    assert (watched.ends, await watched.told()) == (1, [(200, "")])
    assert watched.words == ["client left"]


async def test_what_was_only_looked_up_keeps_the_client_s_status(watched):
    """Nothing was made: the door alone knows how it ended."""
    with watched.visit.in_hand():
        pass
    watched.visit.leave(422)
    assert await watched.told() == [(422, "")]


async def test_a_client_that_waits_no_longer_is_noted(watched):
    """The work is not in error for it."""
    with watched.visit.in_hand():
        watched.visit.is_handed_over = True
        watched.visit.failed("upstream_timeout")
        watched.visit.leave(504)
        watched.visit.status = 200
    assert await watched.told() == [(200, "")]
    assert watched.words == ["client upstream_timeout"]


async def test_a_client_that_leaves_after_the_work_is_noted(watched):
    """The answer was made; that it did not arrive is told beside it."""
    with watched.visit.in_hand():
        watched.visit.is_handed_over, watched.visit.status = True, 200
    watched.visit.leave(CLIENT_LEFT)
    assert await watched.told() == [(200, "")]
    assert watched.words == ["client left"]


@pytest.mark.parametrize(("status", "left"), [(503, 10), (CLIENT_LEFT, 0), (200, 0)])
async def test_tokens_are_settled_by_how_it_ended(watched, make_call, clock, status, left):
    """What failed gives its estimate back; who left may have been answered."""
    admission, limits = Admission(clock), (RateLimit((), tokens_per_minute=10),)
    watched.visit.taken = admission.admit(make_call(), 40, limits)
    watched.visit.leave(status)
    await watched.told()
    if left:
        assert admission.admit(make_call(), left * 4, limits)
    else:
        with pytest.raises(RateLimitedError):
            admission.admit(make_call(), 4, limits)
