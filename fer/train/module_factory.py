"""The network and the module that a configuration trains."""

from timm.layers import convert_sync_batchnorm
from torch import nn

from fer.config import Config
from fer.models.clip_format import TemporalFormat
from fer.models.clip_network import ClipNetwork
from fer.models.depthwise import compute_strided_depthwise_in_float32
from fer.models.fitted_heads import HeadBody
from fer.models.network import (
    FaceNetwork,
    download_hub_weights,
    list_classifiers,
    load_body_weights,
    load_pretrained_weights,
)
from fer.models.temporal_network import TemporalBody, TemporalNetwork
from fer.models.video3d import VideoNetwork, download_video_weights
from fer.train.averaging import find_first_averaged_epoch
from fer.train.encoder import load_encoder
from fer.train.inputs import localize
from fer.train.library_schedules import LibrarySchedule
from fer.train.module import FaceClassifierModule
from fer.train.optimization import OptimizationConfig
from fer.train.optimizers import build_optimizer
from fer.train.plugins import load_loss
from fer.train.schedules import SCHEDULES


def build_network(config: Config, classes: int) -> FaceNetwork | ClipNetwork:
    """Build the network of a configuration with random weights.

    Args:
        config: The configuration.
        classes: Number of classes.

    Raises:
        ModelError: There is no such architecture, or it does not take images of this size.
    """
    model, channels_last = config.model, config.trainer.channels_last
    shape = (model.name, classes, model.image_size, model.drop_rate)
    if model.kind == "frame":
        return FaceNetwork(*shape, channels_last, model.flip, model.affect)
    assert model.kind != "embedding_head", "its head is fitted, see build_encoder"
    temporal = model.temporal
    windows = (temporal.length, temporal.step_s, temporal.position)
    if model.kind == "video3d":
        return VideoNetwork(*shape, TemporalFormat("video3d", *windows))
    head = (temporal.head, temporal.hidden, temporal.layers)
    return TemporalNetwork(
        *(*shape, TemporalFormat("temporal", *windows, *head)),
        *(temporal.drop_rate, temporal.freeze_encoder, channels_last),
    )


def load_starting_weights(config: Config, network: FaceNetwork | ClipNetwork) -> str | None:
    """Give a network the weights that its training starts from.

    Args:
        config: The configuration.
        network: The network, with random weights.

    Returns:
        SHA-256 of the file of weights; None where they stay random.

    Raises:
        UserError: The weights cannot be had, or are not its own.
    """
    model = config.model
    if model.encoder is not None:
        return load_encoder(config, network)
    if model.weights == "none":
        return None
    weights = localize(model.weights, config)
    if isinstance(network, FaceNetwork) and not isinstance(network.body, HeadBody):
        return load_pretrained_weights(network, weights, model.weights_sha256)
    if isinstance(network, FaceNetwork | TemporalNetwork):
        assert isinstance(network.body, HeadBody | TemporalBody), "what is no whole network has an encoder"
        body, classifiers = network.body.encoder, list_classifiers(network.pretrained_cfg)
        path = download_hub_weights(network.name, network.pretrained_cfg) if weights == "pretrained" else None
    else:
        body, classifiers = network.body, network.classifier_names
        path = download_video_weights(network.name) if weights == "pretrained" else None
    return load_body_weights(body, network.name, classifiers, weights, model.weights_sha256, path)


def needs_encoder(config: Config) -> bool:
    """Whether a run computes features by the network of ``model``: it fits a head, or embeds without a model."""
    return config.model_uri is None and (config.model.kind == "embedding_head" or "embed" in config.trainer.stages)


def build_encoder(config: Config) -> tuple[FaceNetwork, str | None]:
    """Build the frozen encoder of a configuration: a network whose outputs are its features, until it gets a head.

    Args:
        config: The configuration, of a network of single faces.

    Returns:
        The network with its weights, and the SHA-256 of their file; None where they are random.

    Raises:
        UserError: There is no such architecture, or the weights cannot be had.
    """
    model = config.model
    network = FaceNetwork(
        *(model.name, config.dataset.classes, model.image_size, 0.0, config.trainer.channels_last), head=nn.Identity()
    )
    return network, load_starting_weights(config, network)


def build_library_schedule(config: Config) -> LibrarySchedule | None:
    """Build the schedule of a configuration where it is one of PyTorch or timm."""
    schedule, monitor = config.optimizer.schedule, config.trainer.early_stopping.monitor
    if schedule.kind in SCHEDULES:
        return None
    return LibrarySchedule(schedule.kind, schedule.options, schedule.interval, config.optimizer.lr, monitor)


def _chooses_fused_step(config: Config, device: str) -> bool:
    """Whether the step of AdamW is one kernel of the device."""
    # Scaled half-precision gradients cannot be clipped inside it.
    if device == "cuda":
        return config.trainer.precision != "16"
    return device == "cpu" and config.optimizer.fused == "auto"


def check_optimization(network: nn.Module, config: Config) -> None:
    """Build optimizer and schedule of a configuration, for any network.

    Raises:
        ModelError: One of them does not take its options.
    """
    chosen = config.optimizer
    optimizer = build_optimizer(network, chosen.name, chosen.lr, chosen.weight_decay, chosen.options, fused=False)
    if (schedule := build_library_schedule(config)) is not None:
        schedule.check_before_data(optimizer, config.trainer.max_epochs)


def build_module(
    config: Config, classes: int, device: str, class_prior: tuple[float, ...] | None = None
) -> tuple[FaceClassifierModule, str | None]:
    """Build the module to train, with the weights that it starts from.

    Args:
        config: The run's configuration.
        classes: Number of classes.
        device: ``cpu``, ``cuda`` or ``mps``.
        class_prior: (classes,) fraction of each class in the training data, for `model.loss.logit_adjustment`.

    Returns:
        The module, and the SHA-256 of the file of weights; None where they are random.

    Raises:
        ModelError: The network cannot be built, or the weights are not its own.
    """
    model, schedule = config.model, config.optimizer.schedule
    network = build_network(config, classes)
    weights_sha256 = load_starting_weights(config, network)
    optimization = OptimizationConfig(
        loss_kind=model.loss.kind,
        label_smoothing=model.loss.label_smoothing,
        focal_gamma=model.loss.focal_gamma,
        lr=config.optimizer.lr,
        weight_decay=config.optimizer.weight_decay,
        schedule_kind=schedule.kind,
        warmup=schedule.warmup,
        final=schedule.final,
        ema_decay=config.trainer.ema_decay,
        head_epochs=model.head_epochs,
        unfreeze_per_epoch=model.unfreeze_per_epoch,
        fused=_chooses_fused_step(config, device),
        optimizer=config.optimizer.name,
        options=config.optimizer.options,
        logit_adjustment=model.loss.logit_adjustment,
        distill_weight=model.loss.distill_weight,
        distill_temperature=model.loss.distill_temperature,
        affect_weight=model.loss.affect_weight,
        per_frame=model.kind == "temporal" and model.temporal.loss == "frame",
    )
    if device == "cuda" and config.trainer.world_size > 1 and config.trainer.sync_batchnorm:
        # timm's own conversion knows its layers of batch norm with activation; Lightning's would lose them.
        network.body = convert_sync_batchnorm(network.body)
    if device == "cpu" and config.trainer.precision == "bf16":
        compute_strided_depthwise_in_float32(network.body)
    swa_start, max_epochs = config.trainer.swa_start, config.trainer.max_epochs
    module = FaceClassifierModule(
        network,
        optimization,
        plugin_loss=load_loss(config),
        library_schedule=build_library_schedule(config),
        class_prior=class_prior,
        swa_epoch=None if swa_start is None else find_first_averaged_epoch(swa_start, max_epochs),
    )
    if config.trainer.precision == "64":
        # Lightning converts after it has loaded a checkpoint, whose digits were lost then.
        module.double()
    if config.trainer.compile:
        # A temporal network's frames take the time, of which there are ever another number.
        if isinstance(network, TemporalNetwork):
            network.body.encoder.compile()
        else:
            network.body.compile(mode="reduce-overhead" if device == "cuda" else None)
    return module, weights_sha256
