"""A record contains the version of its layout, and another version gives a clear error."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from core.ledger.ledger import DamagedRecordError, Ledger
from core.records import SCHEMA_VERSION, UnknownSchemaError, read_record
from core.storage import Store

STORES = Path(__file__).parents[1] / "golden" / "stores" / "v0.1.0"
OLD_RECORD = next((STORES / "golden-fixed" / "trials").glob("*-1/record.json"))


def _changed(**fields: object) -> bytes:
    return json.dumps({**json.loads(OLD_RECORD.read_bytes()), **fields}).encode()


def test_a_record_of_the_first_release_has_schema_1_and_is_written_with_it() -> None:
    assert "schema_version" not in json.loads(OLD_RECORD.read_bytes())
    record = read_record(OLD_RECORD.read_bytes())
    assert record.schema_version == SCHEMA_VERSION == 1
    assert json.loads(record.model_dump_json())["schema_version"] == 1


@pytest.mark.parametrize("fields", [{"schema_version": 2}, {"schema_version": 2, "seed": "none"}])
def test_another_layout_is_named_also_where_its_fields_do_not_fit(fields: dict[str, object]) -> None:
    with pytest.raises(UnknownSchemaError, match=r"schema_version is 2.*reads 1"):
        read_record(_changed(**fields))


@pytest.mark.parametrize("fields", [{"seed": "none"}, {"schema_version": None}, {"schema_version": "two"}])
def test_a_damaged_record_of_this_layout_is_damaged(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(fields))):
        read_record(_changed(**fields))


def test_a_sweep_of_another_layout_is_not_called_damaged(tmp_path: Path) -> None:
    key = OLD_RECORD.parent.name
    (tmp_path / "trials" / key).mkdir(parents=True)
    (tmp_path / "trials" / key / "record.json").write_bytes(_changed(schema_version=2))
    with pytest.raises(ValueError, match=f"{key}/record.json: the record's schema_version is 2") as found:
        Ledger(Store(str(tmp_path)), "golden-fixed").records()
    assert not isinstance(found.value, DamagedRecordError)
