"""The networks that a recipe can name, and what their weights are at first."""

from __future__ import annotations

from appliance.training.lite0 import Lite0Net
from appliance.training.network import PlainNet, SliceNetwork
from appliance.training.plans import NetworkPlan
from appliance.training.pretrained import start_from_imagenet

KINDS = {"lite0": Lite0Net, "plain": PlainNet}


def build_network(plan: NetworkPlan) -> SliceNetwork:
    """The network of a recipe; random weights come from torch's generator. Raises CannotStart without ImageNet's."""
    network = KINDS[plan.kind]()
    if plan.start == "imagenet":
        start_from_imagenet(network)
    return network
