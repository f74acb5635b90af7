"""Which execution providers there are, and which one a name means."""

import importlib
from pathlib import Path

import pytest
from support.openvino import needs_openvino

from obeaver.engine.sessions.providers import Device, Provider, available_providers, choose_provider, described
from obeaver.errors import ProviderError

CPU = Provider("cpu", "CPUExecutionProvider", (Device("cpu"),), "1.32")
CUDA = Provider("cuda", "CUDAExecutionProvider", (Device("gpu"),), "1.32")
OPENVINO = Provider("openvino", "OpenVINOExecutionProvider", (Device("gpu", "Arc"), Device("cpu", "Xeon")), "1.8")
BROKEN = Provider("webgpu", "WebGpuExecutionProvider", (), "0.4", "onnxruntime-ep-webgpu", problem="it finds no device")
HERE = [CPU, OPENVINO, BROKEN]


@pytest.mark.parametrize(
    ("wanted", "made_for", "name", "kind"),
    [
        ("cpu", "cpu", "cpu", "cpu"),
        ("openvino", "cpu", "openvino", "gpu"),
        ("OpenVINO:CPU", "cpu", "openvino", "cpu"),
        ("gpu", "cpu", "openvino", "gpu"),
        ("auto", "cpu", "cpu", "cpu"),
        ("auto", "openvino", "openvino", "gpu"),
        ("auto", "cuda", "cpu", "cpu"),
        ("auto", "webgpu", "cpu", "cpu"),
    ],
)
def test_a_name_means_a_provider_and_one_of_its_devices(wanted: str, made_for: str, name: str, kind: str) -> None:
    choice = choose_provider(wanted, made_for=made_for, providers=HERE)
    assert (choice.name, choice.device.kind) == (name, kind)
    assert (choice.is_cpu, choice.in_host_memory) == (name == "cpu", kind == "cpu")


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("cuda", "there is no execution provider cuda here; there are: cpu, openvino (gpu, cpu)"),
        ("npu", "there is no execution provider for the device npu here; there are: cpu, openvino (gpu, cpu)"),
        ("cpu:gpu", "the execution provider cpu has no device gpu here; there are: cpu, openvino (gpu, cpu)"),
        ("webgpu", "the execution provider webgpu (onnxruntime-ep-webgpu) cannot be used: it finds no device"),
        ("", "there is no execution provider '' here; there are: cpu, openvino (gpu, cpu)"),
    ],
)
def test_a_provider_that_is_not_here_is_an_error_that_lists_those_that_are(wanted: str, message: str) -> None:
    with pytest.raises(ProviderError) as caught:
        choose_provider(wanted, providers=HERE)
    assert str(caught.value) == message


def test_where_openvino_is_missing_the_error_says_how_to_get_it() -> None:
    with pytest.raises(ProviderError, match=r"there are: cpu, cuda \(gpu\); openvino comes with obeaver\[openvino\]$"):
        choose_provider("openvino", providers=[CPU, CUDA])


def test_the_cpu_provider_of_onnxruntime_is_always_here_and_needs_no_plugin() -> None:
    cpu = available_providers()[0]
    assert (cpu.name, cpu.ep_name, cpu.package, cpu.problem) == ("cpu", "CPUExecutionProvider", None, "")
    assert [device.kind for device in cpu.devices] == ["cpu"]
    assert choose_provider("auto").provider.version == cpu.version


def test_providers_that_send_data_away_are_not_offered() -> None:
    assert "azure" not in [provider.name for provider in available_providers()]


@needs_openvino
def test_the_plugin_is_found_by_its_package_once_and_with_its_devices() -> None:
    first, again = available_providers(), available_providers()
    assert first == again
    (openvino,) = [provider for provider in first if "openvino" in provider.name]
    assert (openvino.name, openvino.package, openvino.problem) == ("openvino", "onnxruntime-ep-openvino", "")
    assert "cpu" in [device.kind for device in openvino.devices]
    assert "openvino (" in described(first)


@pytest.fixture
def broken_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An installed package of a plugin whose library is not there; its name."""
    module = tmp_path / "onnxruntime_ep_absent"
    module.mkdir()
    library = tmp_path / "absent.so"
    (module / "__init__.py").write_text(
        f"def get_library_path(): return {str(library)!r}\ndef get_ep_names(): return ['AbsentExecutionProvider']\n"
    )
    record = tmp_path / "onnxruntime_ep_absent-3.1.dist-info"
    record.mkdir()
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: onnxruntime-ep-absent\nVersion: 3.1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    return "onnxruntime-ep-absent"


def test_a_plugin_that_does_not_load_is_listed_with_its_problem_and_harms_no_other(broken_plugin: str) -> None:
    providers = {provider.name: provider for provider in available_providers()}
    absent = providers["absent"]
    assert (absent.package, absent.version, absent.devices) == (broken_plugin, "3.1", ())
    assert "absent.so" in absent.problem
    assert choose_provider("cpu").name == "cpu"
    with pytest.raises(ProviderError, match=r"absent \(onnxruntime-ep-absent\) cannot be used: .*absent\.so"):
        choose_provider("absent")
