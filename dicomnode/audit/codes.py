"""The codes of audit messages (PS3.16 CID 400 to 403; PS3.15 A.5.1.2.4)."""

from dicomnode.audit.message import Code

__all__ = [
    "ACCESSED",
    "APPLICATION",
    "APPLICATION_ACTIVITY",
    "AUDIT_LOG_USED",
    "AUTHENTICATION",
    "DESTINATION",
    "LOGIN",
    "LOGOUT",
    "NETWORK_CONFIGURATION",
    "NODE_ID",
    "PATIENT_NUMBER",
    "QUERY",
    "RESTRICTED_FUNCTION",
    "SEARCH_CRITERIA",
    "SECURITY_ALERT",
    "SECURITY_ROLES",
    "SOFTWARE_CONFIGURATION",
    "SOURCE",
    "START",
    "STOP",
    "STUDY",
    "TRANSFERRED",
    "URI",
    "USER_ATTRIBUTES",
]

APPLICATION_ACTIVITY = Code("110100", "DCM", "Application Activity")
AUDIT_LOG_USED = Code("110101", "DCM", "Audit Log Used")
ACCESSED = Code("110103", "DCM", "DICOM Instances Accessed")
TRANSFERRED = Code("110104", "DCM", "DICOM Instances Transferred")
QUERY = Code("110112", "DCM", "Query")
SECURITY_ALERT = Code("110113", "DCM", "Security Alert")
AUTHENTICATION = Code("110114", "DCM", "User Authentication")

START = Code("110120", "DCM", "Application Start")
STOP = Code("110121", "DCM", "Application Stop")
LOGIN = Code("110122", "DCM", "Login")
LOGOUT = Code("110123", "DCM", "Logout")
NETWORK_CONFIGURATION = Code("110128", "DCM", "Network Configuration")
SOFTWARE_CONFIGURATION = Code("110131", "DCM", "Software Configuration")
RESTRICTED_FUNCTION = Code("110132", "DCM", "Use of Restricted Function")
SECURITY_ROLES = Code("110136", "DCM", "Security Roles Changed")
USER_ATTRIBUTES = Code("110137", "DCM", "User security Attributes Changed")

APPLICATION = Code("110150", "DCM", "Application")
DESTINATION = Code("110152", "DCM", "Destination Role ID")
SOURCE = Code("110153", "DCM", "Source Role ID")

STUDY = Code("110180", "DCM", "Study Instance UID")
NODE_ID = Code("110182", "DCM", "Node ID")
PATIENT_NUMBER = Code("2", "RFC-3881", "Patient Number")
SEARCH_CRITERIA = Code("10", "RFC-3881", "Search Criteria")
URI = Code("12", "RFC-3881", "URI")
