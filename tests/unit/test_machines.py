"""Each computer of the table gets the backend that stands there, for the reason that stands there."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.colab_ready.backends.base import HostFacts
from ansible.module_utils.colab_ready.backends.cpu.kernel import kernel as cpu_kernel
from ansible.module_utils.colab_ready.backends.decided import decided
from ansible.module_utils.colab_ready.backends.directml.kernel import kernel as directml_kernel
from ansible.module_utils.colab_ready.backends.registry import TORCH_DEVICES
from ansible.module_utils.colab_ready.backends.rocm import plan as rocm_plan
from ansible.module_utils.colab_ready.backends.rocm.kernel import kernel as rocm_kernel
from ansible.module_utils.colab_ready.backends.torch_devices import Device, Wanted, choose
from ansible.module_utils.colab_ready.backends.xpu import packages as xpu_packages
from ansible.module_utils.colab_ready.backends.xpu.kernel import kernel as xpu_kernel
from ansible.module_utils.colab_ready.core.problem import Refused
from ansible.module_utils.colab_ready.decision.decide import BACKENDS, decide, decide_on
from ansible.module_utils.colab_ready.gpu import catalog
from ansible.module_utils.colab_ready.gpu.readers import sysfs
from ansible.module_utils.colab_ready.python import fetched, interpreters
from ansible.module_utils.colab_ready.system.interpreters import Python
from fixtures.machines import MACHINES, NATIVE_LINUX, Machine
from fixtures.sysfs_tree import Sysfs

DECIDED = [machine for machine in MACHINES if machine.backend is not None]
REFUSED = [machine for machine in MACHINES if machine.backend is None]


def by_name(machine: Machine) -> str:
    return machine.name


def decision_of(machine: Machine, **other: Any) -> dict[str, Any]:
    arguments: dict[str, Any] = {"host": machine.host, "settings": machine.settings, **other}
    adapters = arguments.pop("adapters", machine.adapters)
    return decide(machine.wish, adapters, machine.why_unknown, machine.gpu, **arguments)


@pytest.mark.parametrize("machine", DECIDED, ids=by_name)
def test_a_machine_gets_its_backend_and_the_reason(machine: Machine) -> None:
    decision = decision_of(machine)
    assert (decision["name"], decision["adapter"]) == (machine.backend, machine.adapter)
    said = [*decision["reasons"], *decision["cautions"]]
    assert any(machine.says in sentence for sentence in said), said
    assert machine.python in (None, decision["python"]["use"])


@pytest.mark.parametrize("machine", DECIDED, ids=by_name)
def test_every_other_backend_is_out_for_a_reason(machine: Machine) -> None:
    rejected = {entry["name"]: entry["why"] for entry in decision_of(machine)["rejected"]}
    assert sorted([*rejected, machine.backend or ""]) == sorted(backend.name for backend in BACKENDS)
    assert all(rejected.values())
    wrong = {name: rejected[name] for name, part in machine.rejects.items() if part not in rejected[name]}
    assert not wrong


@pytest.mark.parametrize("machine", [one for one in DECIDED if one.opt_in], ids=by_name)
def test_what_runs_only_on_request_is_hinted_at(machine: Machine) -> None:
    assert [hint["name"] for hint in decision_of(machine)["opt_in"]] == list(machine.opt_in)


@pytest.mark.parametrize("machine", REFUSED, ids=by_name)
def test_an_impossible_wish_is_refused_with_the_reason(machine: Machine) -> None:
    with pytest.raises(Refused) as refusal:
        decision_of(machine)
    said = str(refusal.value)
    assert machine.says in said
    assert "Expected: " in said and "Do: " in said


@pytest.mark.parametrize("machine", DECIDED, ids=by_name)
def test_recommended_is_what_would_be_taken_without_a_wish_for_a_backend(machine: Machine) -> None:
    recommended = decision_of(machine)["recommended"]
    gpu = machine.gpu if machine.wish != "cpu" else None
    without = decide("auto", machine.adapters, machine.why_unknown, gpu, machine.host, machine.settings)
    assert (recommended["name"], recommended["adapter"]) == (without["name"], without["adapter"])
    assert recommended["why"]


@pytest.mark.parametrize("wish", ["auto", "cpu", "cuda", "rocm"])
def test_the_primary_adapter_is_the_one_that_computes_or_else_the_one_that_would(wish: str) -> None:
    """A GeForce beside a Radeon that is as large: the GeForce, but for who asks for ROCm."""
    machine = next(one for one in MACHINES if one.name == "geforce-and-radeon-even")
    adapters = [dict(adapter) for adapter in machine.adapters or ()]
    decision = decide_on({"adapters": adapters, "host": machine.host, "null_reasons": {}}, wish, None)
    wanted = decision["recommended"]["adapter"] if decision["adapter"] is None else decision["adapter"]
    assert [adapter["index"] for adapter in adapters if adapter["primary"]] == [wanted] == [0 if wish == "rocm" else 1]


# --- what comes after the decision ----------------------------------------------------------------------------------


def installed(machine: Machine, decision: dict[str, Any]) -> dict[str, Any]:
    """What the backend's role lays out before it installs anything, from what was decided alone."""
    found = {"backend": decision, "adapters": machine.adapters, "host": machine.host}
    card, settings, python = decided(found, decision["name"])
    host = HostFacts.of(machine.host)
    requires = python["requires"]
    if decision["name"] == "rocm":
        here = rocm_plan.Host(host.behind_windows, host.distribution, host.distribution_version)
        plan = rocm_plan.choose_line(card, here, rocm_plan.Options(**settings))
        assert plan["python_requires"] == requires
        return rocm_kernel(plan, requires)._asdict()
    if decision["name"] == "xpu":
        assert xpu_packages.choose_packages(card, host.distribution_version, host.behind_windows)["packages"]
        return xpu_kernel("", requires, "")._asdict()
    if decision["name"] == "directml":
        return directml_kernel(settings, requires, "", False)._asdict()
    return cpu_kernel(requires, "", False)._asdict()


def fetched_by_uv(requires: str) -> str:
    """The series that the builder lets uv fetch."""
    return str(fetched.series_for(requires))


@pytest.mark.parametrize("machine", DECIDED, ids=by_name)
def test_the_python_that_is_announced_is_the_one_that_is_built_with(machine: Machine) -> None:
    """The builder gets the kernel's range, and takes the first Python of the host that fits, or lets uv fetch one."""
    decision = decision_of(machine)
    requires = (
        installed(machine, decision)["python_requires"] if decision["name"] != "cuda" else decision["python_requires"]
    )
    there = {str(version): Python(str(version), str(version)) for version in machine.host.get("pythons") or ()}
    found, _rejected = interpreters.first_fitting(there, requires, there.get)
    if machine.host.get("pythons") is not None:
        assert decision["python"]["use"] == (found.version if found else fetched_by_uv(requires))
        said = [caution for caution in decision["cautions"] if "is fetched for it" in caution]
        assert [f"Python {fetched_by_uv(requires)} is fetched" in one for one in said] == [True] * (found is None)


@pytest.mark.parametrize("machine", [one for one in DECIDED if one.opt_in], ids=by_name)
def test_who_does_what_the_hint_says_is_refused_by_nobody(machine: Machine) -> None:
    for hint in decision_of(machine)["opt_in"]:
        assert f"-e colab_backend={hint['name']}" in hint["do"]
        experimental = {"rocm_experimental": "rocm_experimental=true" in hint["do"]}
        arguments: dict[str, Any] = {"gpu": str(hint["adapter"]), "host": machine.host}
        wished = decide(hint["name"], machine.adapters, settings=experimental, **arguments)
        assert hint["name"] == "cuda" or installed(machine, wished)
        if "rocm_experimental" in hint["do"]:
            with pytest.raises(Refused, match="rocm_experimental=true"):
                decide(hint["name"], machine.adapters, settings={}, **arguments)
            assert decide(hint["name"], machine.adapters, **arguments)["name"] == hint["name"]


def test_without_a_decision_nothing_is_installed() -> None:
    machine = next(one for one in DECIDED if one.name == "rx-7900-xtx")
    found = {"backend": decision_of(machine), "adapters": machine.adapters, "host": machine.host}
    assert decided(found, "rocm").settings["version"] == ""
    for other in ({**found, "backend": {}}, {**found, "adapters": []}, {}):
        with pytest.raises(Refused, match="gpu holds no decision for rocm"):
            decided(other, "rocm")
    with pytest.raises(Refused, match="gpu holds no decision for xpu"):
        decided(found, "xpu")


def as_torch_says(index: int, backend: str, adapter: dict[str, Any]) -> Device:
    """The adapter as its backend's torch names it: by the driver's name in WSL; natively by the box, and pci.ids' chip is
    nobody's name."""
    names = [one for one in catalog.names_of(adapter) if "[" not in one] or [f"GPU {adapter['device_id']}"]
    name = names[0] if adapter["wddm"] else f"{adapter['vendor']} {names[-1]}"
    gfx = catalog.gfx_of(adapter) or ""
    borrowed = catalog.BORROWED_TARGETS.get(gfx, (gfx, ""))[0]
    return Device(index, name, gfx=borrowed if backend == "rocm" else "", bytes=adapter["dedicated_bytes"] or 0)


@pytest.mark.parametrize("machine", [one for one in DECIDED if one.backend in ("cuda", "rocm", "xpu")], ids=by_name)
def test_the_card_finds_the_decided_adapter_among_all_that_torch_may_count(machine: Machine) -> None:
    decision = decision_of(machine)
    # One by one from behind, so that the decided one is not always the first; all that its vendor's torch can count.
    decided = dict((machine.adapters or ())[decision["adapter"]])
    theirs = [dict(one) for one in reversed(machine.adapters or ()) if one["vendor_id"] == decided["vendor_id"]]
    counted = [as_torch_says(index, decision["name"], one) for index, one in enumerate(theirs)]
    found = choose(TORCH_DEVICES[decision["name"]], counted, Wanted(**decision["card"]))
    assert found.device is not None, found
    assert theirs[found.device.index]["index"] == decision["adapter"], found


@pytest.mark.parametrize("machine", DECIDED, ids=by_name)
def test_the_card_is_whole_wherever_there_is_one(machine: Machine) -> None:
    decision = decision_of(machine)
    card = decision["card"]
    assert (card is None) == (decision["adapter"] is None) == (decision["name"] == "cpu")
    if card is not None:
        assert sorted(card) == sorted(Wanted._fields)
        assert card["gfx"][:1] == [gfx for gfx in [decision["gfx"]] if gfx]
        # No software, no NPU.
        assert not {"Microsoft Basic Render Driver", "Intel(R) AI Boost"} & set(card["others"])


def test_the_order_in_which_a_system_lists_its_adapters_decides_nothing() -> None:
    """But between two of the same kind and size."""
    for machine in DECIDED:
        if machine.gpu is None and machine.adapters:
            turned = decision_of(machine, adapters=list(reversed(machine.adapters)))
            assert (turned["name"], turned["adapter"]) == (machine.backend, machine.adapter), machine.name


@pytest.mark.parametrize("machine", [one for one in NATIVE_LINUX if one.adapters and one.backend], ids=by_name)
def test_a_native_machine_in_sysfs_is_decided_alike(machine: Machine, tmp_path: Path) -> None:
    tree = Sysfs(tmp_path / "sys")
    for adapter in machine.adapters or ():
        files = {"class": "0x030000", "subsystem_vendor": "0x1043", "subsystem_device": "0x0001"}
        for name, key in (("vendor", "vendor_id"), ("device", "device_id"), ("revision", "revision")):
            files[name] = f"0x{adapter[key]}"
        if adapter["vendor_id"] is None:
            tree.card(
                adapter["index"], tree.other(f"platform/gpu{adapter['index']}", "platform", driver=adapter["driver"])
            )
            continue
        if adapter["dedicated_bytes"] is not None:
            files["mem_info_vram_total"] = str(adapter["dedicated_bytes"])
        device = tree.pci(adapter["address"], files, driver=adapter["driver"])
        if adapter["driver"]:
            tree.card(adapter["index"], device)
    adapters, _ = sysfs.read_adapters(str(tree.root), [])
    decision = decision_of(machine, adapters=adapters)
    assert (decision["name"], decision["adapter"]) == (machine.backend, machine.adapter)


# --- the table itself -----------------------------------------------------------------------------------------------


def test_there_are_sixty_machines_and_each_has_a_name_of_its_own() -> None:
    assert len(MACHINES) >= 60
    assert not [name for name, times in Counter(machine.name for machine in MACHINES).items() if times > 1]


def test_every_family_of_gpus_is_in_some_machine() -> None:
    seen = {catalog.family_of(adapter) for machine in MACHINES for adapter in machine.adapters or ()}
    assert not [family.name for family in catalog.FAMILIES if family not in seen]
