namespace Continuum

open System
open TorchSharp

/// Tensors from and to managed arrays, and the count of live tensors that the leak tests watch.
///
/// libtorch keeps a pinned managed array as storage when a tensor is made from one, 8-byte aligned wherever the
/// garbage collector put it; kernels that assume more (complex numbers, vectorised optimisers) then crash now and
/// then. Everything made here is a copy in memory that libtorch allocated, 64-byte aligned.
[<RequireQualifiedAccess>]
module Tensors =

    let private elements (shape: int64[]) = Array.fold (*) 1L shape

    /// A copy of `data` (row-major) with the given shape, in libtorch's own aligned memory. It does not require grad.
    /// Throws ArgumentException when the shape does not hold exactly `data.Length` elements.
    let ofArray (data: float[]) (shape: int64[]) (dtype: torch.ScalarType) (device: torch.Device) : Tensor =
        ArgumentNullException.ThrowIfNull data
        ArgumentNullException.ThrowIfNull shape

        if elements shape <> data.LongLength then
            let text = String.Join(", ", shape)
            raise (ArgumentException $"{data.Length} values do not fill the shape [{text}].")

        use pinned = torch.tensor (data, dtype = Nullable torch.float64)
        use copy = pinned.clone ()
        use flat = copy.``to`` (dtype, device)
        flat.reshape shape

    /// A float64 vector on the CPU, shape `[data.Length]`.
    let vector (data: float[]) : Tensor = ofArray data [| data.LongLength |] torch.float64 torch.CPU

    /// A float64 scalar (shape `[]`) on the CPU.
    let scalar (value: float) : Tensor = torch.tensor (value, dtype = Nullable torch.float64)

    /// The elements in row-major order as float64, from any device and any real dtype, with or without a graph.
    let toArray (tensor: Tensor) : float[] =
        ArgumentNullException.ThrowIfNull tensor
        use _ = torch.NewDisposeScope()
        use _ = torch.no_grad ()
        let host = tensor.detach().``to``(torch.float64, torch.CPU)
        host.contiguous().data<float>().ToArray()

    /// The only element of `tensor` as float64. Throws ArgumentException when it has none or several.
    let toFloat (tensor: Tensor) : float =
        match toArray tensor with
        | [| value |] -> value
        | values -> raise (ArgumentException $"expected one element, the tensor has {values.Length}.")

    /// Live tensors that this thread made and has not disposed: a public operation changes it by its results only.
    let live () : int64 = DisposeScopeManager.Statistics.ThreadTotalLiveCount

    /// a b of matrices or batches of them (a may be a vector), as torch.matmul; sizes that do not go together are an ArgumentException that names both shapes,
    /// where libtorch's own error would end the process.
    let internal matmul (a: Tensor) (b: Tensor) : Tensor =
        let left, right = a.shape, b.shape
        let batch = min left.Length right.Length - 2

        let mutable fits =
            left.Length >= 1 && right.Length >= 2 && left[left.Length - 1] = right[right.Length - 2]

        for i in 0 .. batch - 1 do
            let x, y = left[left.Length - 3 - i], right[right.Length - 3 - i]
            fits <- fits && (x = y || x = 1L || y = 1L)

        if not fits then
            let text (shape: int64[]) = String.Join(", ", shape)

            raise (
                ArgumentException
                    $"A product of matrices of shapes [{text left}] and [{text right}] does not exist; the last size of the first must be the last but one of the second, and the sizes in front must agree."
            )

        torch.matmul (a, b)

    /// (..., n, m) times (..., m), with the same check.
    let internal product (matrix: Tensor) (vector: Tensor) : Tensor = (matmul matrix (vector.unsqueeze -1L)).squeeze -1L

    /// The shape as text for messages, `[2, 3]`.
    let internal shapeText (tensor: Tensor) : string =
        let text = String.Join(", ", tensor.shape)
        $"[{text}]"
