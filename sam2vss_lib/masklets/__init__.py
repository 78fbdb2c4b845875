"""SAM2: loading, proposals, propagation, and the store of masklets."""

import warnings

# sam2 1.1.0 still scripts two functions on import; whoever uses this package cannot change that
warnings.filterwarnings("ignore", message="`torch.jit.script` is deprecated", category=FutureWarning)
