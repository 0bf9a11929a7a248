namespace Continuum

open System
open TorchSharp

/// Brownian paths for a batch of tensors: W, H and K have shape (batch.., m), A (batch.., m, m), in the dtype (float32 or float64) and
/// on the device given. Element b of the batch, counted in row-major order, is the path of number first + b: a batch in parts is the
/// parts of the batch. float32 results are the float64 ones rounded. All numbers agree bit for bit with BrownianPath, on every
/// device. An object is for one thread at a time; Dispose frees what it holds on a device (in host memory it holds nothing).
/// Errors as for BrownianPath; ArgumentException for another dtype.
[<Sealed>]
type TensorBrownian internal (spec: BrownianSpec, numbers: PathNumbers, layout: TensorPathsLayout, onDevice: bool) =
    let m = spec.Dimension

    let paths: ITensorPaths =
        if layout.Dtype <> torch.float32 && layout.Dtype <> torch.float64 then
            raise (ArgumentException $"Brownian paths come in float32 and float64; got {layout.Dtype}.")

        if onDevice then
            new DeviceTensorPaths(spec, numbers, layout)
        else
            new HostTensorPaths(spec, numbers, layout)

    static let elements (shape: int64[]) =
        let count = Array.fold (*) 1L shape

        if Array.exists (fun n -> n < 1L) shape || count > 2147483647L then
            let text = String.Join(", ", shape)
            raise (ArgumentException $"A batch holds at least one path and at most 2^31 - 1; got the shape [{text}].")

        int count

    static let layoutOf (shape: int64[]) (dtype: torch.ScalarType) (device: torch.Device) =
        ArgumentNullException.ThrowIfNull(shape, nameof shape)
        ArgumentNullException.ThrowIfNull(device, nameof device)
        { Batch = Array.copy shape; Dtype = dtype; Device = device }

    static let isElsewhere (device: torch.Device) = device.``type`` <> DeviceType.CPU

    /// Paths first, first + 1, .. for a batch of this shape (empty: one path, results of shape (m)).
    new(spec, shape: int64[], first: int64, dtype: torch.ScalarType, device: torch.Device) =
        let layout = layoutOf shape dtype device
        new TensorBrownian(BrownianSpec.check spec, PathNumbers.From(first, elements shape), layout, isElsewhere device)

    /// Paths of any numbers, one for each element of a batch of this shape.
    new(spec, shape: int64[], numbers: int64[], dtype: torch.ScalarType, device: torch.Device) =
        let layout = layoutOf shape dtype device
        ArgumentNullException.ThrowIfNull(numbers, nameof numbers)

        if numbers.Length <> elements shape then
            let text = String.Join(", ", shape)
            raise (ArgumentException $"{numbers.Length} path numbers do not fill a batch of shape [{text}].")

        new TensorBrownian(BrownianSpec.check spec, PathNumbers.Chosen numbers, layout, isElsewhere device)

    /// Paths first, first + 1, .. for the batch of a state y of shape (batch.., n): its batch, dtype and device.
    static member For(spec: BrownianSpec, y: Tensor, first: int64) : TensorBrownian =
        ArgumentNullException.ThrowIfNull(y, nameof y)
        let shape = Array.sub y.shape 0 (Math.Max(0, y.shape.Length - 1))
        new TensorBrownian(spec, shape, first, y.dtype, y.device)

    /// What the paths are functions of.
    member _.Spec = spec
    /// Shape of the batch.
    member _.BatchShape = Array.copy layout.Batch
    /// First time.
    member _.Start = spec.Start
    /// Last time.
    member _.End = spec.End

    /// The path over [s, t] (or backward) as fresh tensors.
    member _.Step(s: float, t: float) : BrownianStep<Tensor> = paths.Step(s, t)

    /// Time that is near t and cheap; see IBrownian.
    member _.Snap(s: float, t: float) = paths.Grid.Snap(s, t)

    /// W over each of the steps between these times, drawn as one tensor of shape (times - 1, batch.., m). Cheapest where the
    /// times are boundaries of cells.
    member this.Increments(times: float[]) : Tensor =
        ArgumentNullException.ThrowIfNull(times, nameof times)

        if times.Length < 2 then
            raise (ArgumentException $"Increments lie between two times or more; got {times.Length}.")

        use _ = torch.NewDisposeScope()
        this.Prepare times
        let shape = Array.concat [ [| times.LongLength - 1L |]; layout.Batch; [| int64 m |] ]
        let all = torch.empty (shape, dtype = layout.Dtype, device = layout.Device)

        for i in 0 .. times.Length - 2 do
            use _ = torch.NewDisposeScope()
            all.select(0L, int64 i).copy_((paths.Step(times[i], times[i + 1])).W) |> ignore

        all.MoveToOuterDisposeScope()

    /// Announces these times; see IBrownian. On a device the normals of cells ahead are then drawn together.
    member _.Prepare(times: float[]) =
        ArgumentNullException.ThrowIfNull(times, nameof times)

        if times.Length > 1 && times[1] > times[0] then
            let first = paths.Grid.Boundary times[0]
            let last = paths.Grid.Boundary times[times.Length - 1]

            if first >= 0 && last > first then
                paths.Announce(last - first)

    interface IBrownian<Tensor> with
        member _.Start = spec.Start
        member _.End = spec.End
        member _.Dimension = m
        member _.Level = spec.Level
        member this.Step(s, t) = this.Step(s, t)
        member this.Snap(s, t) = this.Snap(s, t)
        member this.Prepare times = this.Prepare times

    interface IDisposable with
        member _.Dispose() = paths.Dispose()
