"""List the mutations of what the doctor calls well."""

from __future__ import annotations

from tests.mutations.mutation import Mutation, pytest_of

DOCTOR = "tests/integration/doctor"
EXAMINATION = pytest_of(f"{DOCTOR}/test_examination.py")

MUTATIONS = (
    Mutation(
        "call pending messages of any age well",
        "messaging/doctor/messages.py",
        "    if age_s > FAIL_PENDING_S:\n        return fail(told, REPAIR)\n"
        "    return warn(told, REPAIR) if age_s > WARN_PENDING_S else ok(told)\n",
        "    return ok(told)\n",
        pytest_of(f"{DOCTOR}/test_processes.py", "-k", "old_or_many"),
    ),
    Mutation(
        "take the snapshot of a dead process for that of a living one",
        "messaging/doctor/snapshots.py",
        "not found.is_over and time.time() - path.stat().st_mtime <= DEAD_AFTER_S",
        "not found.is_over",
        pytest_of(f"{DOCTOR}/test_processes.py", "-k", "ill_is_found"),
    ),
    Mutation(
        "tell a check that cannot see its object as OK",
        "messaging/doctor/examination.py",
        "yield LeftOut(check.area, check.name, str(unseen))",
        'yield Finding(check.area, check.name, Report(()).state, str(unseen), "")',
        EXAMINATION,
    ),
    Mutation(
        "let a WARN hide a FAIL",
        "messaging/doctor/verdicts.py",
        "(State.FAIL, State.WARN) if",
        "(State.WARN, State.FAIL) if",
        EXAMINATION,
    ),
    Mutation(
        "end with 0 after a FAIL",
        "messaging/management/commands/doctor.py",
        "if report.state is not State.OK:",
        "if report.state is State.WARN:",
        pytest_of(f"{DOCTOR}/test_command.py", "-k", "every_other_command"),
    ),
)
