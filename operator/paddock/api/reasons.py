"""The closed set of condition types and reasons; events and conditions share them.

A leaf of the API: user-facing words that tests, dashboards and GitOps rules may rely on.
"""

from enum import StrEnum


class ConditionType(StrEnum):
    """Conditions of both kinds; `Reconciling` and `Stalled` follow kstatus."""

    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    # LocalModel
    PULLED = "Pulled"
    VERIFIED = "Verified"
    UP_TO_DATE = "UpToDate"
    # InferencePool
    ACCEPTED = "Accepted"
    MODELS_READY = "ModelsReady"
    SCHEDULED = "Scheduled"
    FITS = "Fits"
    ENGINES_READY = "EnginesReady"
    MODEL_VERIFIED = "ModelVerified"
    GATEWAY_READY = "GatewayReady"
    TELEMETRY_READY = "TelemetryReady"


class Reason(StrEnum):
    """Why a condition has its status."""

    # good
    READY = "Ready"
    SUCCEEDED = "Succeeded"
    ACCEPTED = "Accepted"
    PULLED = "Pulled"
    DIGEST_MATCHES = "DigestMatches"
    UP_TO_DATE = "UpToDate"
    SCHEDULED = "Scheduled"
    SCALED_TO_ZERO = "ScaledToZero"
    FITS = "Fits"
    MODEL_ANSWERED = "ModelAnswered"
    DATA_ARRIVES = "DataArrives"
    # on the way
    PROGRESSING = "Progressing"
    PULLING = "Pulling"
    WAITING_FOR_CLAIM = "WaitingForClaim"
    WAITING_FOR_MODEL = "WaitingForModel"
    WAITING_FOR_PODS = "WaitingForPods"
    LOADING = "Loading"
    NOT_CHECKED = "NotChecked"
    DELETING = "Deleting"
    # the user's declaration
    INVALID_SPEC = "InvalidSpec"
    MODEL_NOT_FOUND = "ModelNotFound"
    MODEL_STALLED = "ModelStalled"
    UNSUPPORTED_FIELD = "UnsupportedField"
    UNSUPPORTED_FORMAT = "UnsupportedFormat"
    NAME_CONFLICT = "NameConflict"
    # the source
    SOURCE_UNAUTHORIZED = "SourceUnauthorized"
    SOURCE_NOT_FOUND = "SourceNotFound"
    SOURCE_UNREACHABLE = "SourceUnreachable"
    SOURCE_FORBIDDEN = "SourceForbidden"
    SOURCE_REFUSED = "SourceRefused"
    DIGEST_MISMATCH = "DigestMismatch"
    INVALID_ARTIFACT = "InvalidArtifact"
    CREDENTIALS_MISSING = "CredentialsMissing"
    UPSTREAM_CHANGED = "UpstreamChanged"
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    PULL_FAILED = "PullFailed"
    # storage
    CLAIM_NOT_FOUND = "ClaimNotFound"
    CLAIM_UNBOUND = "ClaimUnbound"
    CLAIM_LOST = "ClaimLost"
    CLAIM_UNREACHABLE = "ClaimUnreachable"
    INSUFFICIENT_STORAGE = "InsufficientStorage"
    STORAGE_ERROR = "StorageError"
    # pods
    UNSCHEDULABLE = "Unschedulable"
    INSUFFICIENT_GPU = "InsufficientGPU"
    IMAGE_PULL_FAILED = "ImagePullFailed"
    OUT_OF_MEMORY = "OutOfMemory"
    CRASH_LOOP = "CrashLoop"
    CONTAINER_CONFIG = "ContainerConfig"
    ENGINE_NOT_READY = "EngineNotReady"
    ROLLOUT_FAILED = "RolloutFailed"
    WRONG_MODEL = "WrongModel"
    NO_ANSWER = "NoAnswer"
    DOES_NOT_FIT = "DoesNotFit"
    NOT_ESTIMATED = "NotEstimated"
    # the gateway
    GATEWAY_CONFIG_REFUSED = "GatewayConfigRefused"
    GATEWAY_CONFLICT = "GatewayConflict"
    CERTIFICATE_INVALID = "CertificateInvalid"
    NOT_EXPOSED = "NotExposed"
    # telemetry
    NOT_DELIVERED = "NotDelivered"
    # the cluster
    QUOTA_EXCEEDED = "QuotaExceeded"
    POD_SECURITY = "PodSecurity"
    FORBIDDEN = "Forbidden"
    ADMISSION_FAILED = "AdmissionFailed"
    API_UNAVAILABLE = "APIUnavailable"
    INTERNAL_ERROR = "InternalError"
