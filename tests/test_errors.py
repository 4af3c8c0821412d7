"""The tree of errors: kin, pickling, exit codes."""

import pickle
from typing import Never

import pytest

from consilium import errors
from consilium.errors import ConsiliumError

KIN: dict[str, tuple[type[Exception], ...]] = {
    "BadMessage": (ValueError,),
    "UnknownMember": (ValueError, LookupError),
    "UnknownTurn": (ValueError, LookupError),
    "OutcomeDiffers": (ValueError,),
    "ThinOverlap": (ValueError,),
    "BadPersona": (ValueError,),
    "AdapterRefused": (ValueError,),
    "BadRows": (ValueError,),
    "BadScript": (ValueError,),
    "BadSuite": (ValueError,),
    "BadSettings": (ValueError,),
    "BaseCorrupt": (OSError,),
    "BaseUnavailable": (OSError,),
    "CacheUnwritable": (OSError,),
    "SeatDeadline": (RuntimeError, TimeoutError),
    "EngineBusy": (RuntimeError,),
    "AdapterMissing": (RuntimeError, LookupError),
    "EngineLost": (RuntimeError, ConnectionError),
    "LedgerLocked": (RuntimeError, TimeoutError),
    "LedgerReadOnly": (RuntimeError, PermissionError),
    "LedgerDamaged": (RuntimeError,),
    "LedgerFull": (RuntimeError,),
    "TurnBusy": (RuntimeError,),
    "LedgerVersion": (RuntimeError,),
    "JobError": (OSError,),
    "TurnFailed": (RuntimeError,),
    "MissingExtra": (ImportError,),
}


def every_error() -> list[type[ConsiliumError]]:
    found = [cls for cls in vars(errors).values() if isinstance(cls, type) and issubclass(cls, ConsiliumError)]
    return sorted(found, key=lambda cls: cls.__name__)


def test_every_leaf_is_listed_with_its_kin() -> None:
    parents = {base for cls in every_error() for base in cls.__bases__}
    assert {cls.__name__ for cls in every_error() if cls not in parents} == set(KIN)


@pytest.mark.parametrize("name", KIN)
def test_a_leaf_can_be_caught_as_its_standard_kin(name: str) -> Never:
    leaf = getattr(errors, name)
    for kin in (*KIN[name], ConsiliumError):
        with pytest.raises(kin, match="three boats"):
            raise leaf("three boats")


@pytest.mark.parametrize("cls", every_error())
def test_an_error_survives_pickling_with_its_message(cls: type[ConsiliumError]) -> None:
    copy = pickle.loads(pickle.dumps(cls("no berth is called 'x'. There are: a, b.")))  # noqa: S301 -- pickled a moment ago, on this line
    assert type(copy) is cls
    assert str(copy) == "no berth is called 'x'. There are: a, b."


@pytest.mark.parametrize("cls", every_error())
def test_every_error_is_drawn_in_the_tree_and_documented(cls: type[ConsiliumError]) -> None:
    assert cls.__doc__
    assert cls.__name__ in (errors.__doc__ or "")


def test_only_a_failed_turn_exits_with_one() -> None:
    assert {cls.__name__ for cls in every_error() if cls.exit_code == 1} == {"TurnFailed"}
    assert {cls.exit_code for cls in every_error()} == {1, 2}
