"""Collect the mutations of all areas."""

from __future__ import annotations

from tests.mutations import (
    of_cache,
    of_conversations,
    of_directory,
    of_doctor,
    of_domain,
    of_exporter,
    of_groups,
    of_health,
    of_memory,
    of_messages,
    of_metrics,
    of_pipeline,
    of_store,
    of_trace,
)
from tests.mutations.mutation import Mutation

AREAS = (
    of_cache,
    of_conversations,
    of_directory,
    of_doctor,
    of_domain,
    of_exporter,
    of_groups,
    of_health,
    of_memory,
    of_messages,
    of_metrics,
    of_pipeline,
    of_store,
    of_trace,
)
MUTATIONS: tuple[Mutation, ...] = tuple(each for area in AREAS for each in area.MUTATIONS)
