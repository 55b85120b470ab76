"""Sections of a recipe as the parameters of a flow: what Prefect's form shows of them, and what is read out of it.

    generate: Annotated[Sampling, Form("generate")]

A field is called in the form as in YAML. A form sends every field: one that holds its default promises nothing, else a
preset would be overridden by fields that nobody touched and a replayed file's temperature be known. What the section
refuses becomes a `Refused` that the flow's body raises: Prefect's own way with it is a traceback in the run's log.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from curation.sampling import USES
from flows.config import ConfigError, validated

# Fields that one sampler alone heeds.
ONLY = {
    name: sampler
    for sampler, uses in USES.items()
    for name in uses
    if sum(name in others for others in USES.values()) == 1
}


@dataclass(frozen=True)
class Refused:
    """In the place of a section: why it cannot be what was chosen."""

    error: ConfigError


@dataclass(frozen=True)
class Form:
    """Says that a section is read from a form. `whole`: a field at its default counts as chosen, too."""

    section: str
    whole: bool = False

    def __get_pydantic_core_schema__(self, source: type[BaseModel], handler: GetCoreSchemaHandler) -> CoreSchema:
        def read(values: Any, proceed: Callable[[Any], Any]) -> Any:
            if not isinstance(values, dict):
                return proceed(values)
            try:
                chosen = validated(source, values, f"the section {self.section} cannot be as chosen")
                return chosen if self.whole else source.model_validate(chosen.model_dump(exclude_defaults=True))
            except ConfigError as error:
                return Refused(error)

        return core_schema.no_info_wrap_validator_function(read, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        shown = handler(schema)
        _name_as_written(shown, handler)
        return shown


def accepted(*sections: Any) -> None:
    """Raise the first refusal among the parameters of a flow.

    Raises:
        ConfigError: a section cannot be what was chosen in the form.
    """
    for section in sections:
        if isinstance(section, Refused):
            raise section.error


def _name_as_written(shown: dict[str, Any], handler: GetJsonSchemaHandler) -> None:
    """Title every field by its key, and by the sampler that heeds it where it is one alone; inner sections as well."""
    model = handler.resolve_ref_schema(shown)
    heeds = "sampler" in model.get("properties", {})
    for name, field in model.get("properties", {}).items():
        field["title"] = f"{name} ({ONLY[name]} only)" if heeds and name in ONLY else name
        for inner in (field, field.get("items", {}), *field.get("anyOf", ())):
            if "$ref" in inner:
                _name_as_written({"$ref": inner["$ref"]}, handler)
