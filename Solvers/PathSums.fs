// The sums behind signatures of piecewise linear paths, and what is asked of a path.
//   S^{i1...ik} = integral over t1 < ... < tk of dx^{i1} ... dx^{ik}: one number for each word (Chen 1957; Lyons 1998).
namespace Continuum

open System
open TorchSharp

/// The sums behind signatures, on paths with channels in front: x of shape (d, rows, points), results as Levels of shape (d^k, rows).
/// No loop runs over time. With x piecewise linear, segments D_l and P_l, Q_l the signatures before and after segment l,
///   S_k = sum over l, i, j of P_l^{a-i} D_l^{i+1+j} Q_l^{b-1-j} / (i+1+j)!     (k = a + b)
/// counts each choice of k times by the segment that holds time a + 1. Cutting words in the middle leaves tensors of about half the
/// length at every time, and one matrix product over time that puts the halves together.
[<RequireQualifiedAccess>]
module internal PathSums =

    let private scale (x: Tensor) (factor: float) =
        if factor = 1.0 then
            x
        else
            use scalar = factor.ToScalar()
            x.mul scalar

    let private factorial (n: int) = Seq.fold (fun product i -> product * float i) 1.0 (seq { 1..n })

    let segments (x: Tensor) : Tensor =
        let n = x.shape[2] - 1L
        x.narrow(2L, 1L, n).sub(x.narrow (2L, 0L, n))

    /// The gradients of `overTime` with time innermost again: those of libtorch's own node have it outermost, and what follows them
    /// would jump through memory.
    let private overTimeBack (context: VjpContext) (gradient: Tensor) : Tensor[] =
        let a, b = context.Saved[0], context.Saved[1]
        let timeInside (product: Tensor) = product.transpose(0L, 1L).contiguous()
        let ofA () = gradient.bmm (b.transpose (0L, 1L)) |> timeInside
        let ofB () = gradient.transpose(1L, 2L).bmm(a.transpose (0L, 1L)) |> timeInside
        [| (if context.Needs[0] then ofA () else null); (if context.Needs[1] then ofB () else null) |]

    /// sum over time of a times b: (p, rows, n) and (q, rows, n) to (rows, p, q), added to `sum` unless null.
    let private overTime (sum: Tensor) (a: Tensor) (b: Tensor) : Tensor =
        let left, right = a.transpose (0L, 1L), b.permute (1L, 2L, 0L)

        if torch.is_grad_enabled () && (a.requires_grad || b.requires_grad) then
            let product = Autograd.customVjp [| a; b |] (fun () -> struct (left.bmm right, [| a; b |])) overTimeBack

            if isNull sum then product else sum.add product
        elif isNull sum then
            left.bmm right
        else
            // The object of TorchSharp's baddbmm is the first factor; the summand comes last.
            left.baddbmm (right, sum)

    let private wordsInFront (product: Tensor) : Tensor = product.flatten(1L, 2L).transpose(0L, 1L)

    /// What large intermediate results leave behind is freed at once, so that the next one finds its memory still warm. Under recording
    /// the graph keeps what it needs.
    let private freed (compute: unit -> Tensor) : Tensor =
        use scope = torch.NewDisposeScope()
        let result = compute ()
        if scope.Contains result then result.MoveToOuterDisposeScope() else result

    /// Level k of the signature up to the end of each segment minus that up to its start: P^{k-1} D + P^{k-2} D^2/2 + ... + D^k/k!.
    let private growth (before: Tensor[]) (d: Tensor) (k: int) : Tensor =
        freed (fun () ->
            let mutable sum = scale d (1.0 / float k)

            for j in k - 1 .. -1 .. 1 do
                sum <- Levels.outer (sum.add before[k - 1 - j]) (scale d (1.0 / float j))

            sum)

    /// The same for what follows a segment: its signature with the segment minus that without.
    let private growthBack (after: Tensor[]) (d: Tensor) (k: int) : Tensor =
        freed (fun () ->
            let mutable sum = scale d (1.0 / float k)

            for j in k - 1 .. -1 .. 1 do
                sum <- Levels.outer (scale d (1.0 / float j)) (sum.add after[k - 1 - j])

            sum)

    /// Signatures before each segment, levels 1..depth.
    let private prefixes (x: Tensor) (d: Tensor) (depth: int) : Tensor[] =
        let found = Array.zeroCreate<Tensor> depth

        for k in 1..depth do
            found[k - 1] <-
                if k = 1 then
                    x.narrow(2L, 0L, d.shape[2]).sub(x.narrow (2L, 0L, 1L))
                else
                    freed (fun () ->
                        let steps = growth found d k
                        steps.cumsum(2L).sub steps)

        found

    /// Signatures after each segment, levels 1..depth.
    let private suffixes (x: Tensor) (d: Tensor) (depth: int) : Tensor[] =
        let found = Array.zeroCreate<Tensor> depth
        let n = d.shape[2]

        for k in 1..depth do
            found[k - 1] <-
                if k = 1 then
                    x.narrow(2L, n, 1L).sub(x.narrow (2L, 1L, n))
                else
                    freed (fun () ->
                        let sums = (growthBack found d k).cumsum 2L
                        sums.narrow(2L, n - 1L, 1L).sub sums)

        found

    /// D^{1+j} Q^{b-1-j} / (i+1+j)!, summed over j.
    let private right (after: Tensor[]) (d: Tensor) i b : Tensor =
        freed (fun () ->
            let mutable sum = scale d (1.0 / factorial (i + b))

            for j in b - 2 .. -1 .. 0 do
                sum <- Levels.outer d ((scale after[b - 2 - j] (1.0 / factorial (i + 1 + j))).add sum)

            sum)

    /// P^{a-i} D^i.
    let private left (before: Tensor[]) (d: Tensor) i a : Tensor =
        freed (fun () ->
            let mutable product: Tensor = if i < a then before[a - i - 1] else null

            for _ in 1..i do
                product <- if isNull product then d else Levels.outer product d

            product)

    /// The signature over all segments, at least one.
    let total (x: Tensor) (depth: int) : Tensor[] =
        let d = segments x
        let first = x.narrow(2L, x.shape[2] - 1L, 1L).sub(x.narrow (2L, 0L, 1L)).squeeze 2L
        let before = prefixes x d (depth / 2)
        let after = suffixes x d ((depth + 1) / 2 - 1)

        [|
            first

            for k in 2..depth do
                let a = k / 2
                let b = k - a

                let product =
                    if b = 1 then
                        overTime null (before[0].add(scale d 0.5)) d
                    else
                        let mutable sum: Tensor = null

                        for i in 0..a do
                            let known = sum
                            sum <- freed (fun () -> overTime known (left before d i a) (right after d i b))

                        sum

                wordsInFront product
        |]

    /// Signatures from the first point to every point, (d^k, rows, points); zero at the first.
    let running (x: Tensor) (depth: int) : Tensor[] =
        let d = segments x
        let before = Array.zeroCreate<Tensor> depth

        let withZero (sums: Tensor) =
            let shape = sums.shape |> Array.mapi (fun i n -> if i = 2 then 1L else n)
            torch.cat ([| torch.zeros (shape, dtype = sums.dtype, device = sums.device); sums |], 2L)

        Array.init depth (fun level ->
            let all =
                if level = 0 then
                    x.sub (x.narrow (2L, 0L, 1L))
                else
                    withZero ((growth before d (level + 1)).cumsum 2L)

            before[level] <- all.narrow (2L, 0L, d.shape[2])
            all)

    /// Levels 1 and 2 of the log-signature: the increment, and the areas 1/2 sum (c D' - D c'), c the path before the segment.
    let areas (x: Tensor) : Tensor[] =
        let n = x.shape[2] - 1L
        let start = x.narrow (2L, 0L, 1L)
        let c = x.narrow(2L, 0L, n).sub start
        let g = overTime null c (segments x)
        let area = scale (g.sub (g.transpose (1L, 2L))) 0.5
        [| x.narrow(2L, n, 1L).sub(start).squeeze 2L; wordsInFront area |]

    /// The logarithm of the signature over all segments. A copy with the rows innermost pays for itself: letters are too few for the inner
    /// loops of products.
    let logarithm (x: Tensor) (depth: int) : Tensor[] =
        if depth = 2 then
            areas x
        else
            total x depth |> Array.map _.contiguous() |> Levels.log

/// What is asked of a path.
[<RequireQualifiedAccess>]
module internal Paths =

    /// ArgumentException unless `path` is a finite floating point tensor (..., points, channels) with a point. Returns its channels.
    let check (path: Tensor) : int =
        if isNull path then
            raise (ArgumentNullException(nameof path, "The path is null; give a tensor (..., points, channels)."))

        if path.dim () < 2L then
            raise (
                ArgumentException(
                    $"A path has shape (..., points, channels); this one has {Tensors.shapeText path}. For one channel add a last dimension: path.unsqueeze(-1)."
                )
            )

        if not (path.is_floating_point ()) then
            raise (
                ArgumentException
                    $"A path must be float32 or float64; its dtype is {path.dtype}. Convert it with .to(torch.float64)."
            )

        if path.numel () = 0L then
            raise (ArgumentException $"The path is empty: its shape is {Tensors.shapeText path}.")

        use _ = torch.NewDisposeScope()
        use _ = torch.no_grad ()

        // One reduction in the good case. A finite path may sum to infinity.
        if
            not (Double.IsFinite(path.detach().sum().ToDouble()))
            && not (path.detach().isfinite().all().ToBoolean())
        then
            raise (
                ArgumentException
                    "The path has a value that is not a finite number; fill missing observations first (a control path does so), or drop them."
            )

        int path.shape[path.shape.Length - 1]

    /// (..., points, channels) to (channels, rows, points) in one piece of memory.
    let inFront (path: Tensor) : Tensor =
        let n = path.shape.Length
        path.reshape([| -1L; path.shape[n - 2]; path.shape[n - 1] |]).permute(2L, 0L, 1L).contiguous()

    /// The batch dimensions of a path.
    let batch (path: Tensor) : int64[] = path.shape[.. path.shape.Length - 3]
