// Signatures and log-signatures of piecewise linear paths: the front door.
//   Reizenstein and Graham 2020, iisignature; Kidger and Lyons 2021, Signatory.
namespace Continuum

open System
open TorchSharp

/// Signatures and log-signatures of piecewise linear paths, given as tensors (..., points, channels) in float32 or float64, any number
/// of batch dimensions. Everything runs without a loop over batch or time, and can be differentiated any number of times.
///
/// Signatures have shape (..., TensorAlgebra.size): one coordinate for each word of 1 to depth letters, by length and then in lexicographic
/// order (Words.all). Log-signatures have shape (..., LyndonBasis.Size): coordinates of the brackets of Lyndon words. A path of one point has
/// zeros. Errors: ArgumentException for a path that is not such a tensor or holds NaN or infinity, ArgumentOutOfRangeException for a
/// depth below 1 or so large that there are more than 2^26 coordinates.
[<RequireQualifiedAccess>]
module Signature =

    /// Number of coordinates of a signature.
    let size (channels: int) (depth: int) : int = TensorAlgebra.size channels depth

    /// Number of coordinates of a log-signature: a sum of Witt's formula.
    let logSize (channels: int) (depth: int) : int =
        TensorAlgebra.size channels depth |> ignore
        Seq.sumBy (Words.witt channels) (seq { 1..depth })

    /// The names of a signature's coordinates, letters from 1: "1", "2", "1,1", "1,2", ...
    let names (channels: int) (depth: int) : string[] = Words.all channels depth |> Array.map Words.name

    /// The names of a log-signature's coordinates, letters from 1: "1", "2", "[1,2]", "[1,[1,2]]", ...
    let logNames (channels: int) (depth: int) : string[] = LyndonBasis.Create(channels, depth).Names

    let private shaped (batch: int64[]) (flat: Tensor) =
        flat.reshape (Array.append batch [| flat.shape[flat.shape.Length - 1] |])

    let private zeros (path: Tensor) (count: int) =
        torch.zeros (Array.append (Paths.batch path) [| int64 count |], dtype = path.dtype, device = path.device)

    let private isPoint (path: Tensor) = path.shape[path.shape.Length - 2] = 1L

    /// Channels in front to a log-signature (rows, Size).
    let internal projected (basis: LyndonBasis) (levels: Tensor[]) : Tensor = basis.Project(Levels.join levels)

    /// The signature of each path: (..., points, channels) to (..., size).
    let ofPath (depth: int) (path: Tensor) : Tensor =
        let channels = Paths.check path
        let count = size channels depth

        if isPoint path then
            zeros path count
        else
            use _ = torch.NewDisposeScope()
            let levels = PathSums.total (Paths.inFront path) depth
            (Levels.join levels |> shaped (Paths.batch path)).MoveToOuterDisposeScope()

    /// The signatures from the first point to every point: (..., points, channels) to (..., points, size); zeros at the first.
    let stream (depth: int) (path: Tensor) : Tensor =
        let channels = Paths.check path
        size channels depth |> ignore
        use _ = torch.NewDisposeScope()
        let levels = PathSums.running (Paths.inFront path) depth
        let points = path.shape[path.shape.Length - 2]
        (Levels.join levels |> shaped (Array.append (Paths.batch path) [| points |])).MoveToOuterDisposeScope()

    /// The log-signature of each path in the Lyndon basis: (..., points, channels) to (..., logSize).
    let logOfPath (depth: int) (path: Tensor) : Tensor =
        let channels = Paths.check path
        let basis = LyndonBasis.Create(channels, depth)

        if isPoint path then
            zeros path basis.Size
        else
            use _ = torch.NewDisposeScope()
            let levels = PathSums.logarithm (Paths.inFront path) depth
            (projected basis levels |> shaped (Paths.batch path)).MoveToOuterDisposeScope()

    /// The log-signatures from the first point to every point: (..., points, channels) to (..., points, logSize); zeros at the first.
    let logStream (depth: int) (path: Tensor) : Tensor =
        let channels = Paths.check path
        let basis = LyndonBasis.Create(channels, depth)
        use _ = torch.NewDisposeScope()
        let levels = PathSums.running (Paths.inFront path) depth |> Levels.log
        let points = path.shape[path.shape.Length - 2]
        (projected basis levels |> shaped (Array.append (Paths.batch path) [| points |])).MoveToOuterDisposeScope()

    /// The log-signature of a signature: (..., size) to (..., logSize).
    let toLog (channels: int) (depth: int) (signature: Tensor) : Tensor =
        use _ = torch.NewDisposeScope()
        let basis = LyndonBasis.Create(channels, depth)
        basis.Project(TensorAlgebra.log channels depth signature).MoveToOuterDisposeScope()

    /// The signature of a log-signature: (..., logSize) to (..., size).
    let ofLog (channels: int) (depth: int) (logSignature: Tensor) : Tensor =
        use _ = torch.NewDisposeScope()
        let basis = LyndonBasis.Create(channels, depth)
        (TensorAlgebra.exp channels depth (basis.Expand logSignature)).MoveToOuterDisposeScope()

    /// The path with a point put in front, of shape (channels) or (..., channels): signatures are blind to where a path starts, and a base
    /// point makes them see it. With zeros (see fromOrigin) the first level is then the last value instead of the increment.
    let from (point: Tensor) (path: Tensor) : Tensor =
        let channels = Paths.check path

        if isNull point then
            raise (ArgumentNullException(nameof point, "The base point is null; fromOrigin takes zeros."))

        if point.dim () < 1L || point.shape[point.shape.Length - 1] <> int64 channels then
            raise (
                ArgumentException
                    $"The base point has shape {Tensors.shapeText point} and the path {Tensors.shapeText path}: the last dimensions must agree."
            )

        use _ = torch.NewDisposeScope()
        let first = point.unsqueeze(-2L).expand(Array.append (Paths.batch path) [| 1L; int64 channels |])
        torch.cat([| first; path |], -2L).MoveToOuterDisposeScope()

    /// The path with the origin put in front.
    let fromOrigin (path: Tensor) : Tensor =
        let channels = Paths.check path
        use zero = torch.zeros ([| int64 channels |], dtype = path.dtype, device = path.device)
        from zero path

    /// The path with a channel put in front that runs from 0 to 1 in equal steps, or through the given times (one for each point):
    /// signatures do not see at what speed a path is run through unless time is one of its channels.
    let withTime (times: float[]) (path: Tensor) : Tensor =
        Paths.check path |> ignore
        let points = path.shape[path.shape.Length - 2]

        let times =
            if isNull times then
                Array.init (int points) (fun k -> if points = 1L then 0.0 else float k / float (points - 1L))
            else
                times

        if times.LongLength <> points then
            raise (ArgumentException $"There are {times.Length} times for a path of {points} points.")

        use _ = torch.NewDisposeScope()
        let channel = Tensors.ofArray times [| points; 1L |] path.dtype path.device
        let channel = channel.expand (Array.append (Paths.batch path) [| points; 1L |])
        torch.cat([| channel; path |], -1L).MoveToOuterDisposeScope()

    let private asTensor (path: float[][]) : Tensor =
        if isNull path || path.Length = 0 then
            raise (ArgumentException "The path has no points.")

        let channels = if isNull path[0] then 0 else path[0].Length

        path
        |> Array.iteri (fun i point ->
            if isNull point || point.Length <> channels then
                let length = if isNull point then 0 else point.Length

                raise (
                    ArgumentException
                        $"Point {i} has {length} coordinates and point 0 has {channels}; all points need the same."
                ))

        NativeLibraries.ensure ()
        Tensors.ofArray (Array.concat path) [| path.LongLength; int64 channels |] torch.float64 torch.CPU

    /// The signature of one path given by its points.
    let ofArray (depth: int) (path: float[][]) : float[] =
        use tensor = asTensor path
        use found = ofPath depth tensor
        Tensors.toArray found

    /// The log-signature of one path given by its points.
    let logOfArray (depth: int) (path: float[][]) : float[] =
        use tensor = asTensor path
        use found = logOfPath depth tensor
        Tensors.toArray found
