"""The callbacks of Keras 3 for any torch module: one per file, with Keras's names, arguments, hooks and behavior."""

from regraft.callbacks.backup_and_restore import BackupAndRestore
from regraft.callbacks.callback import Callback
from regraft.callbacks.callback_list import CallbackList
from regraft.callbacks.csv_logger import CSVLogger
from regraft.callbacks.early_stopping import EarlyStopping
from regraft.callbacks.history import History
from regraft.callbacks.lambda_callback import LambdaCallback
from regraft.callbacks.learning_rate_scheduler import LearningRateScheduler
from regraft.callbacks.model_checkpoint import ModelCheckpoint
from regraft.callbacks.orbax_checkpoint import OrbaxCheckpoint as OrbaxCheckpoint
from regraft.callbacks.progbar_logger import ProgbarLogger
from regraft.callbacks.reduce_lr_on_plateau import ReduceLROnPlateau
from regraft.callbacks.remote_monitor import RemoteMonitor
from regraft.callbacks.swap_ema_weights import SwapEMAWeights
from regraft.callbacks.tensorboard import TensorBoard
from regraft.callbacks.terminate_on_nan import TerminateOnNaN
from regraft.callbacks.torch_scheduler import TorchScheduler
from regraft.callbacks.warmup_cosine import StepSchedule, WarmupCosine

__all__ = [
    "BackupAndRestore",
    "CSVLogger",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "ProgbarLogger",
    "ReduceLROnPlateau",
    "RemoteMonitor",
    "StepSchedule",
    "SwapEMAWeights",
    "TensorBoard",
    "TerminateOnNaN",
    "TorchScheduler",
    "WarmupCosine",
]
