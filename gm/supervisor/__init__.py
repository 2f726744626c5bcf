"""`gm run`: one engine, its recorder and its metrics in one process."""

from pathlib import Path
from typing import Any

import msgspec

from gm.config.settings import PROFILES, Settings, check_profile, load_settings
from gm.errors import ConfigError, JournalForeign
from gm.store.summary import Summary


class RunOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line of `gm run` says. None: as the configuration has it."""

    instruments: tuple[str, ...]
    run_dir: Path
    config: Path
    profile: str | None = None
    bundle: str | None = None
    driver: str | None = None
    log_json: bool = False


def run_engine(options: RunOptions) -> Summary:
    """Run until the venue's tape ends, a signal stops it or it fails.

    Parameters
    ----------
    options : RunOptions
        Checked by the command line.

    Returns
    -------
    Summary
        Totals of the journal.

    Raises
    ------
    ConfigError
        Configuration, bundle, instrument or run directory refused, or more than one instrument:
        exit 3.
    GmError
        What the core failed with.

    Source
    ------
    Ours.
    """
    import zmq

    from gm.models.verification import terms_of
    from gm.supervisor.bundles import find_following
    from gm.supervisor.preparation import prepare_run
    from gm.supervisor.service import Service, configure_log, stop_on_signals
    from gm.supervisor.warmup import read_warmup

    if len(options.instruments) > 1:
        raise ConfigError(
            f"--instrument {', '.join(options.instruments)}: gm venue plays one instrument a run"
        )
    settings = effective_settings(options)
    configure_log(options.log_json)
    prepared = prepare_run(options.run_dir, options.config, settings, options.instruments)
    following = find_following(options.config, settings, prepared)
    with zmq.Context() as context:
        try:
            service = Service(
                prepared,
                settings,
                settings.engine.driver,
                context,
                lambda: read_warmup(options.config, settings, options.instruments),
                following,
                terms_of(options.config, settings).people,
            )
            stop_on_signals(service.stop)
            return service.run()
        except JournalForeign as error:
            raise ConfigError(f"{error} (--run-dir {options.run_dir})") from error


def effective_settings(options: RunOptions) -> Settings:
    """Read the configuration and lay the command line over it."""
    settings = load_settings(options.config)
    replace = msgspec.structs.replace
    if options.profile is not None:
        if options.profile not in PROFILES:
            raise ConfigError(f"--profile: {options.profile!r} is none of {', '.join(PROFILES)}")
        profile: Any = options.profile
        settings = replace(settings, policy=replace(settings.policy, profile=profile))
        check_profile(options.config, settings)
    if options.bundle is not None:
        settings = replace(settings, policy=replace(settings.policy, bundle=options.bundle))
    if options.driver is not None:
        engine: Any = replace(settings.engine, driver=options.driver)
        settings = replace(settings, engine=engine)
    return settings
