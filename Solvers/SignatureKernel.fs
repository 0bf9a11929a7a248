// Kernels between paths from their signatures, and how far two sets of paths lie apart.
//   Kiraly and Oberhauser 2019 (kernels of truncated signatures); Chevyrev and Oberhauser 2022 (signature moments);
//   Salvi, Cass, Foster, Lyons and Yang 2021 (the untruncated kernel solves a Goursat problem); Gretton et al. 2012 (MMD).
namespace Continuum

open System
open TorchSharp

/// How paths are prepared and their signatures weighed.
type SignatureKernelOptions = {
    /// Levels of the signature.
    Depth: int
    /// Time from 0 to 1 becomes the first channel, so that speed counts.
    TimeChannel: bool
    /// The origin becomes the first point, so that the start counts.
    Basepoint: bool
    /// Where two sets are compared: every channel is divided by its standard deviation over both sets, all paths and times.
    Standardise: bool
    /// The path is multiplied by this, so level k by its k-th power: large values stress fine differences.
    Scale: float
    /// k(x, y)/sqrt(k(x, x) k(y, y)): no path can outweigh the others by its size.
    Normalise: bool
}

/// Kernels and distances between sets of paths (paths, points, channels), float32 or float64. Differentiable in both sets. Errors: as
/// Signature, and ArgumentException where the sets do not fit each other or are too small.
[<RequireQualifiedAccess>]
module SignatureKernel =

    let private bad (text: string) = raise (ArgumentException text)

    /// Depth 4 with a time channel, base point, standardised channels, scale 1, not normalised.
    let defaults: SignatureKernelOptions = {
        Depth = 4
        TimeChannel = true
        Basepoint = true
        Standardise = true
        Scale = 1.0
        Normalise = false
    }

    let private checkSet (paths: Tensor) =
        Paths.check paths |> ignore

        if paths.dim () <> 3L then
            bad $"A set of paths has shape (paths, points, channels); this one has {Tensors.shapeText paths}."

    let private checkPair (x: Tensor) (y: Tensor) =
        checkSet x
        checkSet y

        if x.shape[2] <> y.shape[2] || x.dtype <> y.dtype then
            bad
                $"The sets must agree in channels and dtype; they are {Tensors.shapeText x} {x.dtype} and {Tensors.shapeText y} {y.dtype}."

    /// Both sets divided by the standard deviation of each channel over both together (1 where a channel is constant).
    let standardise (x: Tensor) (y: Tensor) : struct (Tensor * Tensor) =
        checkPair x y
        use _ = torch.NewDisposeScope()
        let channels = x.shape[2]
        let pooled = torch.cat [| x.reshape [| -1L; channels |]; y.reshape [| -1L; channels |] |]
        let spread = pooled.sub(pooled.mean [| 0L |]).square().mean([| 0L |]).sqrt()
        let spread = torch.where (spread.gt 0.0, spread, torch.ones_like spread)
        struct (x.div(spread).MoveToOuterDisposeScope(), y.div(spread).MoveToOuterDisposeScope())

    let private prepared (options: SignatureKernelOptions) (paths: Tensor) : Tensor =
        if not (Double.IsFinite options.Scale) || options.Scale <= 0.0 then
            bad $"The scale must be positive; got {options.Scale}."

        let timed = if options.TimeChannel then Signature.withTime null paths else paths
        let based = if options.Basepoint then Signature.fromOrigin timed else timed
        if options.Scale = 1.0 then based else based.mul options.Scale

    /// The vectors whose inner products are the kernel: 1 and the signature of the prepared path, (paths, 1 + size). Standardise is for
    /// pairs of sets and ignored.
    let features (options: SignatureKernelOptions) (paths: Tensor) : Tensor =
        checkSet paths
        use _ = torch.NewDisposeScope()
        let signature = Signature.ofPath options.Depth (prepared options paths)
        let one = torch.ones ([| paths.shape[0]; 1L |], dtype = paths.dtype, device = paths.device)
        let all = torch.cat ([| one; signature |], 1L)

        let all =
            if options.Normalise then
                all.div (all.square().sum(1L, keepdim = true).sqrt())
            else
                all

        all.MoveToOuterDisposeScope()

    let private pair (options: SignatureKernelOptions) (x: Tensor) (y: Tensor) : struct (Tensor * Tensor) =
        checkPair x y
        let struct (x, y) = if options.Standardise then standardise x y else struct (x, y)
        struct (features options x, features options y)

    /// The kernel of every pair, 1 + sum of products of coordinates: (m, n) from m and n paths.
    let gram (options: SignatureKernelOptions) (x: Tensor) (y: Tensor) : Tensor =
        use _ = torch.NewDisposeScope()
        let struct (a, b) = pair options x y
        (torch.matmul (a, b.t ())).MoveToOuterDisposeScope()

    let private needTwo (count: int64) =
        if count < 2L then
            bad $"The unbiased distance needs at least two paths in each set; got {count}."

    /// Mean inner product of different vectors of one set.
    let private meanOfOthers (features: Tensor) =
        let count = features.shape[0]
        needTwo count
        let pairs = features.sum(0L).square().sum().sub(features.square().sum())
        pairs.div (float count * float (count - 1L))

    /// The squared maximum mean discrepancy between the laws that two sets of paths were drawn from, unbiased (so it may be negative when
    /// they agree): 0-d. Costs no kernel matrix.
    let mmd (options: SignatureKernelOptions) (x: Tensor) (y: Tensor) : Tensor =
        use _ = torch.NewDisposeScope()
        let struct (a, b) = pair options x y
        let cross = a.mean([| 0L |]).mul(b.mean [| 0L |]).sum()
        let within = (meanOfOthers a).add(meanOfOthers b)
        within.sub(cross.mul 2.0).MoveToOuterDisposeScope()

    /// The same from kernel matrices of any kernel: (m, m), (n, n) and (m, n).
    let mmdOfGrams (xx: Tensor) (yy: Tensor) (xy: Tensor) : Tensor =
        let m, n = xy.shape[0], xy.shape[1]

        if
            xx.dim () <> 2L
            || xx.shape[0] <> m
            || xx.shape[1] <> m
            || yy.dim () <> 2L
            || yy.shape[0] <> n
            || yy.shape[1] <> n
        then
            bad
                $"The kernel matrices have shapes {Tensors.shapeText xx}, {Tensors.shapeText yy} and {Tensors.shapeText xy}; they must be [m, m], [n, n] and [m, n]."

        needTwo (min m n)
        use _ = torch.NewDisposeScope()

        let others (k: Tensor) (count: int64) = k.sum().sub(k.trace ()).div(float count * float (count - 1L))

        let cross = xy.mean().mul((2.0))
        ((others xx m).add(others yy n).sub cross).MoveToOuterDisposeScope()

    /// Inner products of increments, laid out so that column s holds those of segments i and j with i + j = s: (rows, a, a + b - 1).
    let private skewed (products: Tensor) : Tensor =
        let rows, a, b = products.shape[0], products.shape[1], products.shape[2]
        let padding = torch.zeros ([| rows; a; a |], dtype = products.dtype, device = products.device)
        let flat = torch.cat([| products; padding |], 2L).flatten(1L, 2L)
        flat.narrow(1L, 0L, a * (a + b - 1L)).reshape([| rows; a; a + b - 1L |])

    /// The kernel of the whole signatures (all levels, the 1 included) of every pair: (m, n) from m and n paths. It solves
    /// d2k/ds dt = <x'(s), y'(t)> k with k = 1 on the edges; the scheme has order 2 in the length of the pieces, and every segment is
    /// cut into 2^refinement of them. Paths are taken as they are (see Signature.withTime, fromOrigin and standardise). Memory m n times
    /// the product of the numbers of pieces; all pairs and all cells of an antidiagonal are computed together.
    let untruncated (refinement: int) (x: Tensor) (y: Tensor) : Tensor =
        checkPair x y

        if refinement < 0 || refinement > 10 then
            raise (
                ArgumentOutOfRangeException(
                    nameof refinement,
                    $"The refinement lies between 0 and 10; got {refinement}."
                )
            )

        if x.shape[1] < 2L || y.shape[1] < 2L then
            torch.ones ([| x.shape[0]; y.shape[0] |], dtype = x.dtype, device = x.device)
        else
            use _ = torch.NewDisposeScope()
            let pieces = 1L <<< refinement

            let increments (path: Tensor) =
                let n = path.shape[1] - 1L
                let d = path.narrow(1L, 1L, n).sub(path.narrow (1L, 0L, n))

                if pieces = 1L then d else d.div(float pieces).repeat_interleave(pieces, 1L)

            let dx, dy = increments x, increments y
            let m, n, a, b = x.shape[0], y.shape[0], dx.shape[1], dy.shape[1]
            let products = torch.einsum("mac,nbc->mnab", dx, dy).reshape([| m * n; a; b |])
            let p = skewed products
            let twelfth = p.square().mul((1.0 / 12.0))
            let sides = p.mul((0.5)).add(twelfth).add((1.0))
            let corner = twelfth.neg().add((1.0))
            let edge = torch.ones ([| m * n; 1L |], dtype = x.dtype, device = x.device)
            // Entry i of a diagonal is k(i, s - i); entries off the grid stay 1 or are never used.
            let mutable before = torch.ones ([| m * n; a + 1L |], dtype = x.dtype, device = x.device)
            let mutable last = before

            for s in 0L .. a + b - 2L do
                let neighbours = last.narrow(1L, 1L, a).add(last.narrow (1L, 0L, a))
                let grown = neighbours.mul (sides.select (2L, s))
                let inner = grown.sub (before.narrow(1L, 0L, a).mul(corner.select (2L, s)))
                before <- last
                last <- torch.cat ([| edge; inner |], 1L)

            (last.select (1L, a)).reshape([| m; n |]).MoveToOuterDisposeScope()
