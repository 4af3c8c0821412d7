"""Every error Consilium raises, in one tree.

::

    ConsiliumError
    ├── BadInput (ValueError)             what the caller handed over cannot be used
    │   ├── BadMessage                    an empty or over-long message
    │   ├── UnknownMember (LookupError)   no member of that name in the catalogue
    │   ├── UnknownTurn (LookupError)     no turn or session of that id in the ledger
    │   ├── OutcomeDiffers                another outcome stands under that key
    │   ├── BadPersona                    a persona, card or catalogue file that breaks its schema
    │   ├── AdapterRefused                an adapter that may not be loaded
    │   ├── BadRows                       data rows that cannot be trained or scored on
    │   ├── BadScript                     a script, or the record of its play, that cannot be played
    │   ├── BadSuite                      a suite, or its data, that cannot be evaluated
    │   ├── ThinOverlap                   logged turns that say too little of another router
    │   └── BadSettings                   a setting that is unknown or out of range
    ├── BaseError (OSError)               the base model's files
    │   ├── BaseCorrupt                   a checksum that does not match
    │   ├── BaseUnavailable               not on disk and not to be fetched
    │   └── CacheUnwritable               the cache directory refuses writes
    ├── EngineError (RuntimeError)        a member could not be heard
    │   ├── SeatDeadline (TimeoutError)   the seat's time ran out
    │   ├── EngineBusy                    more is in hand than the engine takes on
    │   ├── AdapterMissing (LookupError)  a server that does not serve a member's adapter
    │   └── EngineLost (ConnectionError)  the engine stopped answering
    ├── LedgerError (RuntimeError)        the database
    │   ├── LedgerLocked (TimeoutError)   another process holds it
    │   ├── LedgerReadOnly (PermissionError)
    │   ├── LedgerDamaged                 its file is not what was written
    │   ├── LedgerFull                    no room is left on its disk
    │   ├── TurnBusy                      somebody who lives is playing the turn
    │   └── LedgerVersion                 its schema is not this version's
    ├── JobError (OSError)                a job's files or its cluster: unwritable, in use, or not there
    ├── TurnFailed (RuntimeError)         a turn in which nobody made a statement
    └── MissingExtra (ImportError)        an optional dependency is not installed

Each leaf also inherits its standard-library kin, so that callers may catch either. Each message says what happened,
with which value, and what to do about it. All carry one string and nothing else, so all can be pickled.
"""


class ConsiliumError(Exception):
    """Root of every error raised on purpose by this package."""

    exit_code = 2
    """What the command line returns: 2 where the caller can mend it, 1 where the council itself failed."""


class BadInput(ConsiliumError, ValueError):
    """What the caller handed over cannot be used; nothing was written."""


class BadMessage(BadInput):
    """A message that is empty or longer than the base model's context."""


class UnknownMember(BadInput, LookupError):
    """A member that the catalogue does not hold."""


class UnknownTurn(BadInput, LookupError):
    """A turn, seat or session that the ledger does not hold."""


class OutcomeDiffers(BadInput):
    """A second outcome under a key, that says something else than the one which stands."""


class BadPersona(BadInput):
    """A persona, character card or catalogue file that is malformed, oversized or inconsistent."""


class AdapterRefused(BadInput):
    """An adapter that may not be loaded: wrong files, wrong base, wrong digest, or unusable weights."""


class BadRows(BadInput):
    """Rows of data that cannot be trained or scored on."""


class BadScript(BadInput):
    """A script, or the record of a play, that cannot be played; the message names the file and the line."""


class BadSuite(BadInput):
    """A suite, or the data it names, that cannot be evaluated; the message names the file and the line."""


class ThinOverlap(BadInput):
    """Logged turns that say too little of what another router would have done."""


class BadSettings(BadInput):
    """A setting that is unknown, of the wrong type or out of range."""


class BaseError(ConsiliumError, OSError):
    """The base model's files could not be used."""


class BaseCorrupt(BaseError):
    """A base model file whose checksum is not the recorded one."""


class BaseUnavailable(BaseError):
    """The base model is not on disk and could not be fetched."""


class CacheUnwritable(BaseError):
    """The cache directory cannot be written."""


class EngineError(ConsiliumError, RuntimeError):
    """A member could not be heard. The turn goes on without that seat."""


class SeatDeadline(EngineError, TimeoutError):
    """A seat whose deadline passed before its statement was finished."""


class EngineBusy(EngineError):
    """An engine that has as much in hand as it takes on."""


class AdapterMissing(EngineError, LookupError):
    """A server that does not serve a member's adapter, and cannot be made to."""


class EngineLost(EngineError, ConnectionError):
    """An engine that stopped answering or was closed with work in hand."""


class LedgerError(ConsiliumError, RuntimeError):
    """The ledger could not be read or written."""


class LedgerLocked(LedgerError, TimeoutError):
    """The database stayed locked by another process for longer than the busy time-out."""


class LedgerReadOnly(LedgerError, PermissionError):
    """The database or its folder cannot be written."""


class LedgerDamaged(LedgerError):
    """The database's file is no database, or not what was written to it."""


class LedgerFull(LedgerError):
    """The database's disk has no room left."""


class TurnBusy(LedgerError):
    """A turn that somebody who lives is playing; it can be neither resumed nor purged now."""


class LedgerVersion(LedgerError):
    """The database's schema is newer than, or unknown to, this version of Consilium."""


class JobError(ConsiliumError, OSError):
    """A job's files cannot be used: unwritable, full, in use, or another job's. No line of them is half-written."""


class TurnFailed(ConsiliumError, RuntimeError):
    """A turn in which no seat made a statement. It is recorded as failed, with each seat's error."""

    exit_code = 1


class MissingExtra(ConsiliumError, ImportError):
    """An optional dependency is not installed; the message names the extra that brings it."""
