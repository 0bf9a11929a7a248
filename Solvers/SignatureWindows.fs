// Signatures over windows of a path, all windows at once.
namespace Continuum

open System
open TorchSharp

/// Parts of a path of points 0, 1, ..., n. Neighbouring windows share the point where one ends and the other starts.
[<RequireQualifiedAccess>]
type Windows =
    /// The whole path as one window.
    | Whole
    /// Consecutive windows of this many segments; the last may be shorter.
    | Every of segments: int
    /// From the start to the end of each window of Every.
    | Expanding of segments: int
    /// Windows of `segments` segments that start at 0, stride, 2 stride, ... as long as they fit.
    | Sliding of segments: int * stride: int
    /// Consecutive windows between the bounds, for points observed at these times. The path is linear between observations, and a bound
    /// need not be one of them. Both rise strictly, and the bounds lie within the observed times.
    | Between of observed: float[] * bounds: float[]

/// Where windows lie: the points of the path that they use, and first and last of them for each window.
[<Struct>]
type internal WindowPlan = {
    /// Points as fractional indices into the path (2.25: a quarter of the way from point 2 to point 3), or null for all as they are.
    Points: float[]
    /// First point of each window.
    First: int[]
    /// Last point of each window.
    Last: int[]
}

/// Windows to indices.
[<RequireQualifiedAccess>]
module internal WindowPlan =

    let private bad (text: string) = raise (ArgumentException text)

    let private rising (name: string) (times: float[]) (least: int) =
        if isNull times || times.Length < least then
            bad $"{name} need at least {least} times; got {(if isNull times then 0 else times.Length)}."

        for i in 0 .. times.Length - 1 do
            if not (Double.IsFinite times[i]) then
                bad $"{name} must be finite; number {i} is {times[i]}."

            if i > 0 && times[i] <= times[i - 1] then
                bad $"{name} must rise strictly; number {i} ({times[i]}) follows {times[i - 1]}."

    let private every (points: int) (length: int) =
        if length < 1 then
            bad $"A window has at least one segment; got {length}."

        let count = max 1 ((points - 2 + length) / length)

        {
            Points = null
            First = Array.init count (fun w -> w * length)
            Last = Array.init count (fun w -> min (points - 1) ((w + 1) * length))
        }

    /// Where a time lies among the observed ones, as a fractional index.
    let private locate (observed: float[]) (time: float) =
        match Array.BinarySearch(observed, time) with
        | i when i >= 0 -> float i
        | i ->
            let right = ~~~i
            float (right - 1) + (time - observed[right - 1]) / (observed[right] - observed[right - 1])

    let private between (points: int) (observed: float[]) (bounds: float[]) =
        rising "The observation times" observed 1
        rising "The bounds of windows" bounds 2

        if observed.Length <> points then
            bad $"There are {observed.Length} observation times for a path of {points} points."

        let first, last = observed[0], observed[observed.Length - 1]

        if bounds[0] < first || bounds[bounds.Length - 1] > last then
            bad
                $"The windows span [{bounds[0]}, {bounds[bounds.Length - 1]}] and the path is observed on [{first}, {last}] only; keep the bounds inside."

        let inside = observed |> Array.filter (fun t -> t > bounds[0] && t < bounds[bounds.Length - 1])
        let grid = Array.append inside bounds |> Array.distinct |> Array.sort
        let places = bounds |> Array.map (fun t -> Array.BinarySearch(grid, t))

        {
            Points = grid |> Array.map (locate observed)
            First = places[.. places.Length - 2]
            Last = places[1..]
        }

    /// The plan for a path of this many points.
    let create (windows: Windows) (points: int) : WindowPlan =
        match windows with
        | Windows.Whole -> { Points = null; First = [| 0 |]; Last = [| points - 1 |] }
        | Windows.Every length
        | Windows.Expanding length -> every points length
        | Windows.Between(observed, bounds) -> between points observed bounds
        | Windows.Sliding(length, stride) ->
            if length < 1 || stride < 1 then
                bad $"A sliding window needs at least one segment and a positive stride; got {length} and {stride}."

            if length > points - 1 then
                bad
                    $"A sliding window of {length} segments does not fit a path of {points} points ({points - 1} segments)."

            let count = (points - 1 - length) / stride + 1

            {
                Points = null
                First = Array.init count (fun w -> w * stride)
                Last = Array.init count (fun w -> w * stride + length)
            }

    let private select (x: Tensor) (indices: int64[]) : Tensor =
        use raw = torch.tensor (indices, dtype = Nullable torch.int64)
        use moved = raw.clone().``to`` x.device
        x.index_select (2L, moved)

    /// Linear interpolation of (d, rows, points) at fractional indices.
    let private interpolated (x: Tensor) (points: float[]) : Tensor =
        let last = x.shape[2] - 1L
        let left = points |> Array.map (fun p -> int64 (floor p))
        let fractions = points |> Array.map (fun p -> p - floor p)
        let at = select x left

        if Array.forall ((=) 0.0) fractions then
            at
        else
            let right = select x (left |> Array.map (fun i -> min last (i + 1L)))
            let weights = Tensors.ofArray fractions [| points.LongLength |] x.dtype x.device
            at.add (right.sub(at).mul weights)

    /// The windows as paths of their own: (d, rows, points) to (d, rows * windows, longest). Shorter windows stand still at their end,
    /// which no signature sees.
    let cut (plan: WindowPlan) (x: Tensor) : Tensor =
        let x = if isNull plan.Points then x else interpolated x plan.Points
        let longest = Array.map2 (-) plan.Last plan.First |> Array.max
        let count = plan.First.Length

        if count = 1 then
            x.narrow (2L, int64 plan.First[0], int64 longest + 1L)
        else
            let indices =
                Array.init (count * (longest + 1)) (fun n ->
                    let w = n / (longest + 1)
                    int64 (min plan.Last[w] (plan.First[w] + n % (longest + 1))))

            (select x indices).reshape([| x.shape[0]; -1L; int64 longest + 1L |])

/// Signatures and log-signatures over windows of paths (..., points, channels): results (..., windows, coordinates), coordinates in the order
/// of Signature. All windows are computed together, at the cost of their segments (a shorter window costs as much as the longest). Errors as
/// in Signature; ArgumentException also for windows without a segment, that do not fit, or with times outside of the observed ones.
[<RequireQualifiedAccess>]
module SignatureWindows =

    let private shaped (path: Tensor) (windows: int) (flat: Tensor) =
        flat.reshape (Array.append (Paths.batch path) [| int64 windows; flat.shape[flat.shape.Length - 1] |])

    /// Levels of the windows, and their number. Rows are batch times windows.
    let private levelsOf (windows: Windows) (path: Tensor) (compute: Tensor -> Tensor[]) : struct (Tensor[] * int) =
        let plan = WindowPlan.create windows (int path.shape[path.shape.Length - 2])
        let cut = WindowPlan.cut plan (Paths.inFront path)

        let cut =
            if cut.shape[2] > 1L then
                cut
            else
                // A single point: one segment that does not move.
                cut.expand ([| cut.shape[0]; cut.shape[1]; 2L |])

        struct (compute cut, plan.First.Length)

    /// Windows from the start, by Chen's identity: a scan over the windows.
    let private expanded (count: int) (levels: Tensor[]) : Tensor[] =
        levels
        |> Array.map (fun x -> x.reshape [| x.shape[0]; -1L; int64 count |])
        |> Levels.scan
        |> Array.map (fun x -> x.flatten (1L, 2L))

    let private isExpanding (windows: Windows) =
        match windows with
        | Windows.Expanding _ -> true
        | _ -> false

    /// The number of windows of a path of this many points.
    let count (windows: Windows) (points: int) : int = (WindowPlan.create windows points).First.Length

    /// The first and last point of each window, as indices; for Between as fractional indices of the bounds.
    let bounds (windows: Windows) (points: int) : struct (float * float)[] =
        let plan = WindowPlan.create windows points
        let place (i: int) = if isNull plan.Points then float i else plan.Points[i]
        let starts = if isExpanding windows then Array.map (fun _ -> 0) plan.First else plan.First
        Array.map2 (fun first last -> struct (place first, place last)) starts plan.Last

    /// The signature of each window: (..., windows, size).
    let signature (depth: int) (windows: Windows) (path: Tensor) : Tensor =
        let channels = Paths.check path
        TensorAlgebra.size channels depth |> ignore
        use _ = torch.NewDisposeScope()
        let struct (levels, count) = levelsOf windows path (fun x -> PathSums.total x depth)
        let levels = if isExpanding windows then expanded count levels else levels
        (Levels.join levels |> shaped path count).MoveToOuterDisposeScope()

    /// The log-signature of each window: (..., windows, logSize).
    let logSignature (depth: int) (windows: Windows) (path: Tensor) : Tensor =
        let basis = LyndonBasis.Create(Paths.check path, depth)
        use _ = torch.NewDisposeScope()

        let struct (levels, count) =
            if isExpanding windows then
                let struct (levels, count) = levelsOf windows path (fun x -> PathSums.total x depth)
                struct (Levels.log (expanded count levels), count)
            else
                levelsOf windows path (fun x -> PathSums.logarithm x depth)

        (Signature.projected basis levels |> shaped path count).MoveToOuterDisposeScope()
