"""Tasks: what waits in a queue until a worker has done it. Here are the payloads; `task_message` has their wire form.

Ids are those of the stores; `bytes` are base64 on the wire; the times that a type gives a task are in seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from protocols.task_message import Priority, task

MEDIA_TIMEOUT_S: Final = 3600.0
MEDIA_RESULT_TTL_S: Final = 86_400.0
AI_RESULT_TTL_S: Final = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _OfMeetingOrRoom:
    meeting_id: int | None = None
    room_id: str | None = None

    def __post_init__(self) -> None:
        if self.meeting_id is None and self.room_id is None:
            raise ValueError("meeting_id or room_id must be given")


@task("user.register")
class UserRegister:
    user_id: int
    username: str
    email: str


@task("user.login", Priority.LOW)
class UserLogin:
    user_id: int
    username: str
    ip_address: str
    login_time: datetime


@task("user.profile_update")
class UserProfileUpdate:
    user_id: int
    updates: dict[str, Any]


@task("user.status_change")
class UserStatusChange:
    user_id: int
    status: str


@task("meeting.create", Priority.HIGH)
class MeetingCreate:
    meeting_id: int
    title: str
    creator_id: int
    start_time: datetime


@task("meeting.end", Priority.HIGH)
class MeetingEnd:
    """`duration` in seconds."""

    meeting_id: int
    end_time: datetime
    duration: float


@task("meeting.user_join")
class MeetingUserJoin:
    meeting_id: int
    user_id: int


@task("meeting.user_leave")
class MeetingUserLeave:
    meeting_id: int
    user_id: int


@task("meeting.recording_process", timeout_s=MEDIA_TIMEOUT_S, result_ttl_s=MEDIA_RESULT_TTL_S)
class MeetingRecordingProcess(_OfMeetingOrRoom):
    recording_id: str
    file_path: str


@task("media.recording_process", timeout_s=MEDIA_TIMEOUT_S, result_ttl_s=MEDIA_RESULT_TTL_S)
class MediaRecordingProcess(_OfMeetingOrRoom):
    recording_id: str
    file_path: str


@task("media.transcode", timeout_s=MEDIA_TIMEOUT_S, result_ttl_s=MEDIA_RESULT_TTL_S)
class MediaTranscode:
    source_path: str
    target_format: str
    quality: str
    recording_id: str | None = None
    video_id: str | None = None

    def __post_init__(self) -> None:
        if self.recording_id is None and self.video_id is None:
            raise ValueError("recording_id or video_id must be given")


@task("media.upload_to_minio", timeout_s=MEDIA_TIMEOUT_S, result_ttl_s=MEDIA_RESULT_TTL_S, aliases=("media.upload",))
class MediaUploadToMinio:
    recording_id: str
    file_path: str
    bucket: str
    object_key: str


@task("ai.speech_recognition", Priority.HIGH, result_ttl_s=AI_RESULT_TTL_S)
class AiSpeechRecognition(_OfMeetingOrRoom):
    """`duration` in milliseconds."""

    task_id: str
    audio_data: bytes
    user_id: int
    duration: int
    model: str


@task("ai.emotion_detection", result_ttl_s=AI_RESULT_TTL_S)
class AiEmotionDetection(_OfMeetingOrRoom):
    task_id: str
    video_frame: bytes
    user_id: int
    model: str


@task("ai.deepfake_detection", Priority.HIGH, result_ttl_s=AI_RESULT_TTL_S)
class AiDeepfakeDetection(_OfMeetingOrRoom):
    task_id: str
    video_frame: bytes
    user_id: int
    model: str
