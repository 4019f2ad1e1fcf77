"""Collect the mutations of all areas."""

from __future__ import annotations

from tests.mutations import (
    of_cache,
    of_conversations,
    of_directory,
    of_domain,
    of_groups,
    of_memory,
    of_messages,
    of_metrics,
    of_pipeline,
    of_store,
)
from tests.mutations.mutation import Mutation

AREAS = (
    of_cache,
    of_conversations,
    of_directory,
    of_domain,
    of_groups,
    of_memory,
    of_messages,
    of_metrics,
    of_pipeline,
    of_store,
)
MUTATIONS: tuple[Mutation, ...] = tuple(each for area in AREAS for each in area.MUTATIONS)
