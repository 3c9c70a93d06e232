"""The config that is in force, and how another one takes its place."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from sidecar.config import Config
from sidecar.errors import ConfigError
from sidecar.reload import LOOK_EVERY_S, ConfigRefusedError, ConfigSource, Reloader

ENVIRON = {"LEVEL": "warning"}


class Taker:
    """Takes configs, or refuses them."""

    def __init__(self) -> None:
        self.taken: list[Config] = []
        self.refuses = ""
        self.busy = 0

    async def take(self, config: Config) -> None:
        """One at a time."""
        self.busy += 1
        assert self.busy == 1, "two reloads at once"
        await asyncio.sleep(0)
        self.busy -= 1
        if self.refuses:
            raise ConfigError(self.refuses)
        self.taken.append(config)


@pytest.fixture
def taker() -> Taker:
    """What puts configs in force."""
    return Taker()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A config file."""
    path = tmp_path / "sidecar.yaml"
    path.write_text("log: {level: $LEVEL}".replace("$LEVEL", "${LEVEL}"))
    return path


@pytest.fixture
def reloader(file: Path, taker: Taker, clock) -> Reloader:
    """One that has read the file."""
    source = ConfigSource(str(file), ENVIRON)
    return Reloader(source.load(), source, taker.take, clock)


async def test_the_new_config_is_in_force_from_its_time_on(reloader, file, taker, clock):
    """With the environment of the process put in, as at the start."""
    file.write_text("tags: {required: [user]}\nlog: {level: '${LEVEL}'}")
    clock.advance(5)
    done = await reloader.reload("test")
    assert (done.changed, done.needs_restart) == (("tags",), ())
    assert reloader.config is taker.taken[0]
    assert reloader.config.tags.required == ("user",)
    assert reloader.state() == {"loaded_at": clock.now(), "source": str(file), "error": None}


async def test_what_can_not_be_put_in_force_is_refused_like_what_can_not_be_read(
    reloader, file, taker, clock
):
    """A key file that is absent is seen only then; the next good config clears it."""
    before, began = reloader.config, clock.now()
    clock.advance(5)
    taker.refuses = "providers.p: no key"
    with pytest.raises(ConfigRefusedError, match="no key") as refused:
        await reloader.reload("test")
    assert refused.value.detail == {"problems": ["providers.p: no key"]}
    told = {"loaded_at": began, "source": str(file), "error": "providers.p: no key"}
    assert (reloader.config, reloader.state()) == (before, told)
    taker.refuses = ""
    await reloader.reload("test")
    assert reloader.state()["error"] is None


async def test_reloads_come_one_after_another(reloader, taker):
    """Whoever asks for them."""
    await asyncio.gather(*(reloader.reload_or_log("test") for _ in range(5)))
    assert len(taker.taken) == 5


async def test_the_next_reload_is_held_against_what_runs_and_not_against_what_was_wanted(
    reloader, file
):
    """A key that waits for a restart waits until then; one that is taken back waits no more."""
    file.write_text("state_dir: elsewhere")
    for _ in range(2):
        assert (await reloader.reload("test")).needs_restart == ("state_dir",)
    assert reloader.config.state_dir == ".sidecar"
    file.write_text("{}")
    assert (await reloader.reload("test")).needs_restart == ()


async def test_a_program_s_own_config_is_not_read_again(taker, clock):
    """There is nothing to read; the state says so."""
    reloader = Reloader(Config(), None, taker.take, clock)
    with pytest.raises(ConfigRefusedError, match="given by the program"):
        await reloader.reload("test")
    assert reloader.state()["source"] == "the program"
    await asyncio.wait_for(reloader.watch(), 5)


def test_a_source_is_bound_to_the_file_that_it_found(tmp_path, monkeypatch):
    """One that is lost is an error, not the embedded default."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sidecar.yaml").write_text("state_dir: mine")
    source = ConfigSource(None, {}).pinned()
    assert source.load().state_dir == "mine"
    (tmp_path / "sidecar.yaml").unlink()
    with pytest.raises(ConfigError, match="can't be read"):
        source.load()
    assert source.stamp() is None


def test_without_a_file_the_embedded_default_is_the_source(tmp_path, monkeypatch):
    """Until one appears."""
    monkeypatch.chdir(tmp_path)
    source = ConfigSource(None, {}).pinned()
    assert (source.name, source.stamp()) == ("embedded default", None)
    (tmp_path / "sidecar.yaml").write_text("state_dir: mine")
    assert source.load().state_dir == "mine"
    assert source.stamp() is not None


async def test_a_change_between_the_first_reading_and_the_watch_is_not_missed(file, taker, clock):
    """To load the models takes a second or two, in which an operator may write."""
    source = ConfigSource(str(file), ENVIRON).pinned()
    reloader = Reloader(source.load(), source, taker.take, clock)
    file.write_text("tags: {required: [user]}")
    watch = asyncio.create_task(reloader.watch())
    async with asyncio.timeout(20):
        while not taker.taken:
            await asyncio.sleep(0.01)
    watch.cancel()
    assert taker.taken[0].tags.required == ("user",)


async def test_a_file_that_did_not_change_is_not_read_again(file, taker, clock):
    """Looked at, twice and more, and left alone."""
    source = ConfigSource(str(file), ENVIRON).pinned()
    reloader = Reloader(source.load(), source, taker.take, clock)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reloader.watch(), 2.5 * LOOK_EVERY_S)
    assert taker.taken == []


async def test_what_was_read_already_is_not_read_again_and_a_lost_file_is_no_change(
    file, taker, clock
):
    """An operator reloaded at once, then took the file away: the watch has nothing to do."""
    source = ConfigSource(str(file), ENVIRON).pinned()
    reloader = Reloader(source.load(), source, taker.take, clock)
    file.write_text("tags: {required: [user]}")
    await reloader.reload("test")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reloader.watch(), 2.5 * LOOK_EVERY_S)
    assert len(taker.taken) == 1
    file.unlink()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reloader.watch(), 2.5 * LOOK_EVERY_S)
    assert (len(taker.taken), reloader.state()["error"]) == (1, None)


async def test_a_key_file_that_is_being_written_stands_in_the_way_of_no_other_change(
    file, taker, clock, tmp_path
):
    """The provider that runs has its key."""
    key = tmp_path / "key"
    key.write_text("sk-1")
    text = (
        "models: {m: {targets: [{provider: p, model: m}]}}\n"
        f"providers: {{p: {{kind: openai, api_key_file: {key}}}}}\n"
    )
    file.write_text(text)
    source = ConfigSource(str(file), ENVIRON)
    reloader = Reloader(source.load(), source, taker.take, clock)
    key.write_text("")
    file.write_text(f"{text}tags: {{required: [user]}}\n")
    assert (await reloader.reload("test")).changed == ("tags",)
