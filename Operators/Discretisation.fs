// Finite sets of points that stand for a domain, with the weights of their quadrature.
namespace Continuum

open System
open TorchSharp

/// Points of a domain and weights w with sum w_j f(x_j) near the integral of f: the product of points on each axis, or clouds of points.
/// Refining it changes the accuracy of what is computed from a function, never what is computed.
///
/// A cloud may be a batch of unlike ones, one for each sample; the shorter are padded with points of weight zero.
[<Sealed>]
type Discretisation private (domain: Domain, axes: AxisPoints[], counts: int[], points: float[], weights: float[]) =

    static let bad (text: string) = raise (ArgumentException text)

    /// The product of these points.
    static member Product(axes: AxisPoints[]) : Discretisation =
        ArgumentNullException.ThrowIfNull(axes, nameof axes)

        if axes.Length = 0 || axes |> Array.exists (fun a -> isNull (box a)) then
            bad "A discretisation needs the points of one, two or three axes."

        Discretisation(Domain(axes |> Array.map _.Axis), Array.copy axes, [||], [||], [||])

    /// sizes[i] points at equal distances on axis i, in the axis's usual layout.
    static member Uniform(domain: Domain, sizes: int[]) : Discretisation =
        ArgumentNullException.ThrowIfNull(domain, nameof domain)
        Discretisation.Uniform(domain, sizes, domain.Axes |> Array.map AxisPoints.UsualLayout)

    /// sizes[i] points at equal distances on axis i in layouts[i].
    static member Uniform(domain: Domain, sizes: int[], layouts: PointLayout[]) : Discretisation =
        ArgumentNullException.ThrowIfNull(domain, nameof domain)
        ArgumentNullException.ThrowIfNull(sizes, nameof sizes)
        ArgumentNullException.ThrowIfNull(layouts, nameof layouts)

        if sizes.Length <> domain.Dimension || layouts.Length <> domain.Dimension then
            bad
                $"The domain {domain} has {domain.Dimension} axes; got {sizes.Length} sizes and {layouts.Length} layouts."

        Discretisation.Product(Array.init sizes.Length (fun i -> AxisPoints.Uniform(domain[i], sizes[i], layouts[i])))

    /// Clouds of points, one for each sample (or one for all): points[s] has shape (n_s, dimension), weights[s] n_s entries, not negative.
    /// ArgumentException, naming the cloud and the point, for points outside of the domain.
    static member Clouds(domain: Domain, points: float[,][], weights: float[][]) : Discretisation =
        ArgumentNullException.ThrowIfNull(domain, nameof domain)
        ArgumentNullException.ThrowIfNull(points, nameof points)
        ArgumentNullException.ThrowIfNull(weights, nameof weights)
        let d = domain.Dimension

        if points.Length = 0 || points.Length <> weights.Length then
            bad
                $"Clouds need points and weights for each; got {points.Length} sets of points and {weights.Length} of weights."

        let most = points |> Array.map (fun p -> p.GetLength 0) |> Array.max

        if most = 0 then
            bad "A cloud needs at least one point."

        let flat = Array.zeroCreate (points.Length * most * d)
        let shares = Array.zeroCreate (points.Length * most)

        points
        |> Array.iteri (fun s cloud ->
            let n = cloud.GetLength 0

            if cloud.GetLength 1 <> d then
                bad $"The points of cloud {s} have {cloud.GetLength 1} coordinates; the domain {domain} has {d}."

            if n = 0 || weights[s].Length <> n then
                bad
                    $"Cloud {s} has {n} points and {weights[s].Length} weights; give one weight for each of its points, at least one."

            for j in 0 .. most - 1 do
                // Padding repeats the first point, with weight zero.
                let source = if j < n then j else 0

                for i in 0 .. d - 1 do
                    let x = cloud[source, i]
                    let slack = 1e-12 * domain[i].Length

                    if not (x >= domain[i].Start - slack && x <= domain[i].End + slack) then
                        bad $"Point {source} of cloud {s} has coordinate {x} on axis {i}, outside of {domain[i]}."

                    flat[(s * most + j) * d + i] <- x

                if j < n then
                    let w = weights[s].[j]

                    if not (Double.IsFinite w && w >= 0.0) then
                        bad $"Weight {j} of cloud {s} is {w}; weights must be finite and not negative."

                    shares[s * most + j] <- w

            if Array.sum weights[s] <= 0.0 then
                bad $"All weights of cloud {s} are zero; some must be positive.")

        Discretisation(domain, [||], points |> Array.map (fun p -> p.GetLength 0), flat, shares)

    /// One cloud for all samples.
    static member Cloud(domain: Domain, points: float[,], weights: float[]) : Discretisation =
        Discretisation.Clouds(domain, [| points |], [| weights |])

    /// One cloud with equal weights, their sum the volume of the domain: right for points drawn uniformly (Monte Carlo).
    static member Cloud(domain: Domain, points: float[,]) : Discretisation =
        ArgumentNullException.ThrowIfNull(domain, nameof domain)
        ArgumentNullException.ThrowIfNull(points, nameof points)
        let n = points.GetLength 0
        Discretisation.Clouds(domain, [| points |], [| Array.create n (domain.Volume / float (max 1 n)) |])

    /// The domain.
    member _.Domain = domain
    /// Whether it is a product of points on axes; else it is a cloud, or several.
    member _.IsProduct = axes.Length > 0
    /// The points of each axis; empty for clouds.
    member _.Axes = Array.copy axes
    /// Number of clouds; 1 for products.
    member _.CloudCount = max 1 counts.Length
    /// Numbers of points of the clouds, without padding; empty for products.
    member _.Counts = Array.copy counts

    /// The sizes of values' last axes: points on each axis, or points of the largest cloud.
    member _.Shape: int64[] =
        if axes.Length > 0 then
            axes |> Array.map (fun a -> int64 a.Count)
        else
            [| int64 (Array.max counts) |]

    /// Whether every axis has uniform points.
    member _.IsUniform = axes.Length > 0 && axes |> Array.forall (fun a -> a.Layout <> PointLayout.Irregular)

    /// Of products: the integral of 1, by which a mean is one (the length of an axis of interior points, whose functions vanish at the ends; else the sum of
    /// the weights).
    member internal _.Measure =
        axes
        |> Array.fold
            (fun product a -> product * (if a.Layout = PointLayout.Interior then a.Axis.Length else Array.sum a.W))
            1.0

    /// The same points for functions that keep no conditions at the ends of Dirichlet axes.
    member internal this.Free: Discretisation =
        if axes |> Array.exists (fun a -> a.Axis.Boundary = Boundary.Dirichlet) then
            axes |> Array.map _.Free |> Discretisation.Product
        else
            this

    /// The quadrature weights: of shape Shape, or (clouds, points) of clouds.
    member _.Weights(dtype: torch.ScalarType, device: torch.Device) : Tensor =
        use _ = torch.NewDisposeScope()

        let values =
            if axes.Length > 0 then
                axes
                |> Array.map (fun a -> Tensors.ofArray a.W [| int64 a.Count |] dtype device)
                |> Array.reduce (fun product w -> product.unsqueeze(-1L).mul w)
            else
                Tensors.ofArray weights [| int64 counts.Length; int64 (Array.max counts) |] dtype device

        values.MoveToOuterDisposeScope()

    /// The coordinates: of shape (dimension, Shape), or (clouds, dimension, points) of clouds.
    member _.Coordinates(dtype: torch.ScalarType, device: torch.Device) : Tensor =
        use _ = torch.NewDisposeScope()

        let values =
            if axes.Length > 0 then
                let shape = axes |> Array.map (fun a -> int64 a.Count)

                let along (i: int) =
                    let own = Array.create axes.Length 1L
                    own[i] <- shape[i]
                    (Tensors.ofArray axes[i].X own dtype device).expand shape

                torch.stack (Array.init axes.Length along)
            else
                let n = int64 (Array.max counts)
                let d = int64 domain.Dimension
                (Tensors.ofArray points [| int64 counts.Length; n; d |] dtype device).transpose(1L, 2L).contiguous()

        values.MoveToOuterDisposeScope()

    /// Same points and weights.
    override _.Equals(other: obj) =
        match other with
        | :? Discretisation as o -> o.Domain.Equals domain && o.SamePoints(axes, counts, points, weights)
        | _ -> false

    member private _.SamePoints
        (otherAxes: AxisPoints[], otherCounts: int[], otherPoints: float[], otherWeights: float[])
        =
        otherAxes.Length = axes.Length
        && Array.forall2 (fun (a: AxisPoints) b -> a.Equals b) axes otherAxes
        && otherCounts = counts
        && otherPoints = points
        && otherWeights = weights

    override this.GetHashCode() =
        this.Shape |> Array.fold (fun hash n -> HashCode.Combine(hash, n)) (domain.GetHashCode())

    /// Such as `64 points (nodes) on open [0, 1] x ..`.
    override _.ToString() =
        if axes.Length > 0 then
            String.Join(" x ", axes)
        else
            let clouds = if counts.Length = 1 then "a cloud" else $"{counts.Length} clouds"
            $"{clouds} of {Array.max counts} points in {domain}"
