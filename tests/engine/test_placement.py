from obeaver.engine.sessions.placement import Placement


def test_the_cpu_provider_alone_is_told_in_one_word() -> None:
    assert str(Placement()) == "CPU"
    assert Placement().nodes == {}


def test_what_a_provider_left_to_the_cpu_is_told() -> None:
    placement = Placement("openvino", "gpu", 312, {"GroupQueryAttention": 30, "Cast": 2})
    assert str(placement) == "openvino on gpu (280 of 312 nodes; on cpu: 2 Cast, 30 GroupQueryAttention)"
    assert placement.nodes == {"openvino": 280, "cpu": 32}


def test_a_provider_that_took_all_and_one_of_which_it_is_not_known() -> None:
    assert str(Placement("openvino", "npu", 12)) == "openvino on npu (12 of 12 nodes)"
    assert Placement("openvino", "npu", 12).nodes == {"openvino": 12}
    assert str(Placement("cuda", "gpu")) == "cuda on gpu"
    assert Placement("cuda", "gpu").nodes == {}
