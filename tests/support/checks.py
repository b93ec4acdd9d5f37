"""What the asset checks of an instance's runs have found."""

from dagster import DagsterInstance


def checks_of(instance: DagsterInstance) -> dict[str, tuple[bool, str]]:
    found = {}
    for run_record in reversed(instance.get_runs()):
        for entry in instance.all_logs(run_record.run_id):
            event = entry.dagster_event
            if event and event.event_type_value == "ASSET_CHECK_EVALUATION":
                evaluation = event.asset_check_evaluation_data
                found[evaluation.check_name] = (evaluation.passed, evaluation.description or "")
    return found
