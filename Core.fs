namespace Continuum

open TorchSharp

/// A libtorch tensor.
type Tensor = torch.Tensor
