from status cimport Failure, Status, check, check_failure
