// Darcy flow: the operator from a rough coefficient to the pressure.
namespace Continuum

open System
open TorchSharp

/// How the coefficient of a face is made from its two nodes.
type DarcyScheme =
    /// Harmonic means: the flux through layers is exact.
    | Harmonic = 0
    /// The scheme of the published benchmark: the coefficient goes from cell centres to nodes by a spline, faces take arithmetic means, and the
    /// solution goes back to the centres by a spline. The coefficient's jumps are blurred over a cell.
    | Literature = 1

/// How the coefficient is made from a Gaussian field g.
type DarcyCoefficient =
    /// High where g >= 0, Low elsewhere.
    | Piecewise = 0
    /// exp(LogScale g).
    | Lognormal = 1

/// -div(a grad u) = f on [0, 1]^2 with u = 0 on the boundary, for random a.
type DarcyOptions = {
    /// Points of the result on each axis, both ends included.
    Grid: int
    /// Points on which the equation is solved, of which every (FineGrid - 1) / (Grid - 1)-th is kept; 0 for Grid itself.
    FineGrid: int
    /// Exponent of the Gaussian field's covariance tau^(2 alpha - 2) (-Laplace + tau^2)^(-alpha), with slope zero at the boundary and mean zero.
    Alpha: float
    /// Its inverse length.
    Tau: float
    /// From g to a.
    Coefficient: DarcyCoefficient
    /// a where g >= 0.
    High: float
    /// a where g < 0.
    Low: float
    /// Factor of g in the exponent of lognormal coefficients.
    LogScale: float
    /// f, a constant.
    Forcing: float
    /// Discretisation.
    Scheme: DarcyScheme
    /// Gives the coefficient at the kept points as means over the cells around them (OperatorDataset.Coarsen) instead of the values there.
    CellMeans: bool
} with

    /// 85 of 421 points, a in {12, 3}, alpha = 2, tau = 3, f = 1, harmonic means.
    static member Default: DarcyOptions = {
        Grid = 85
        FineGrid = 421
        Alpha = 2.0
        Tau = 3.0
        Coefficient = DarcyCoefficient.Piecewise
        High = 12.0
        Low = 3.0
        LogScale = 1.0
        Forcing = 1.0
        Scheme = DarcyScheme.Harmonic
        CellMeans = false
    }

/// Darcy flow by finite volumes around the nodes of a grid: coefficient and pressure at the same nodes, both ends included; the coefficient
/// of a face is a mean of its two nodes. Order 2 for smooth coefficients.
[<RequireQualifiedAccess>]
module Darcy =

    let private bad (text: string) = raise (ArgumentException text)

    let private harmonic (a: float) (b: float) = 2.0 * a * b / (a + b)
    let private arithmetic (a: float) (b: float) = 0.5 * (a + b)

    /// The pressure at n0 x n1 nodes with distances h0, h1, from coefficients and sources at the nodes.
    let private pressure mean (n0: int) (n1: int) (h0: float) (h1: float) (a: float[]) (f: int -> float) : float[] =
        let along0 = Array.zeroCreate (n0 * n1)
        let along1 = Array.zeroCreate (n0 * n1)

        for i in 0 .. n0 - 1 do
            for j in 0 .. n1 - 1 do
                let p = i * n1 + j

                if i < n0 - 1 then
                    along0[p] <- mean a[p] a[p + n1] * h1 / h0

                if j < n1 - 1 then
                    along1[p] <- mean a[p] a[p + 1] * h0 / h1

        let load = Array.init (n0 * n1) (fun p -> f p * h0 * h1)
        ConductanceNetwork.solve (NetworkLevel(n0, n1, along0, along1)) load 1e-11

    /// The published scheme on n x n cell centres of [0, 1]^2.
    let private literature (n: int) (forcing: float) (a: float[]) : float[] =
        let nodes = Array.init n (fun i -> float i / float (n - 1) * float n - 0.5)
        let centres = Array.init n (fun j -> (float j + 0.5) / float n * float (n - 1))
        let h = 1.0 / float (n - 1)
        let u = pressure arithmetic n n h h (NotAKnotSpline.square n a nodes) (fun _ -> forcing)
        NotAKnotSpline.square n u centres

    let private nodesOf (what: string) (field: Field) : struct (int * int * float * float) =
        let axes = field.Discretisation.Axes

        if
            axes.Length <> 2
            || axes |> Array.exists (fun a -> a.Layout <> PointLayout.Nodes || a.Count < 3)
            || field.Channels <> 1
        then
            bad
                $"{what} of Darcy's equation has one channel at nodes (both ends included) of two axes, at least three each; got {field}."

        struct (axes[0].Count, axes[1].Count, axes[0].Spacing, axes[1].Spacing)

    let private sameNodes (a: Field) (u: Field) (whatA: string) (whatU: string) =
        let shape = nodesOf whatA a

        if shape <> nodesOf whatU u || a.Batch <> u.Batch then
            bad $"{whatA} and {whatU} need the same nodes and samples; got {a} and {u}."

        shape

    /// The solution of -div(a grad u) = f with u = 0 on the boundary, from a > 0 and f at the nodes of two axes (same points, same batch); on the
    /// points of f. Harmonic means. ArgumentException where a is not positive and finite.
    let solve (a: Field) (f: Field) : Field =
        NativeLibraries.ensure ()
        let struct (n0, n1, h0, h1) = sameNodes a f "The coefficient" "The source"
        let size = n0 * n1
        let coefficients = Tensors.toArray a.Values
        let sources = Tensors.toArray f.Values

        match coefficients |> Array.tryFindIndex (fun x -> not (Double.IsFinite x && x > 0.0)) with
        | Some p ->
            bad
                $"The coefficient is {coefficients[p]} in sample {p / size} at node ({p % size / n1}, {p % n1}); it must be positive and finite."
        | None -> ()

        let result = Array.zeroCreate coefficients.Length

        let one s =
            let own = Array.sub coefficients (s * size) size
            let u = pressure harmonic n0 n1 h0 h1 own (fun p -> sources[s * size + p])
            Array.blit u 0 result (s * size) size

        Generations.inParallel (int a.Batch) Threading.CancellationToken.None one
        f.With(Tensors.ofArray result f.Values.shape f.Values.dtype f.Values.device)

    /// -div(a grad u) - f at the inner nodes and zero on the boundary, in the very discretisation of solve: for losses that use the equation, a
    /// differentiable function of both fields. a and u on the same nodes.
    let residual (forcing: float) (a: Field) (u: Field) : Field =
        let struct (n0, n1, h0, h1) = sameNodes a u "The coefficient" "The pressure"
        use _ = torch.NewDisposeScope()

        let divergence (dim: int64) (n: int) (h: float) =
            let part (x: Tensor) from count = x.narrow (dim, int64 from, int64 count)
            let left, right = part a.Values 0 (n - 1), part a.Values 1 (n - 1)
            let face = left.mul(right).mul(2.0).div(left.add right)
            let flux = face.mul(part u.Values 1 (n - 1)).sub(face.mul (part u.Values 0 (n - 1)))
            (part flux 1 (n - 2)).sub(part flux 0 (n - 2)).div(h * h)

        let inner0 = (divergence 2L n0 h0).narrow(3L, 1L, int64 (n1 - 2))
        let inner1 = (divergence 3L n1 h1).narrow(2L, 1L, int64 (n0 - 2))
        let inner = inner0.add(inner1).neg().sub forcing
        u.With(torch.nn.functional.pad(inner, [| 1L; 1L; 1L; 1L |]).MoveToOuterDisposeScope())

    // ------------------------------------------------------------------------------------------ data

    let private check (o: DarcyOptions) : int =
        let fine = if o.FineGrid = 0 then o.Grid else o.FineGrid

        if o.Grid < 4 then
            bad $"The grid has {o.Grid} points on an axis; it needs at least four."

        if fine < o.Grid || (fine - 1) % (o.Grid - 1) <> 0 then
            bad
                $"{o.Grid} points cannot be taken out of {fine}: {fine - 1} intervals must be a multiple of {o.Grid - 1}. Take 421 and 85, 61, 43 or 29, or 0 to solve on the grid itself."

        if not (o.High > 0.0 && o.Low > 0.0 && Double.IsFinite o.High && Double.IsFinite o.Low) then
            bad $"The coefficient must be positive and finite; got {o.High} and {o.Low}."

        if not (Double.IsFinite o.LogScale && Double.IsFinite o.Forcing) then
            bad $"LogScale and Forcing must be finite; got {o.LogScale} and {o.Forcing}."

        if o.CellMeans && fine = o.Grid then
            bad
                $"Means over cells need finer points than the {o.Grid} of the result; solve on more with FineGrid, such as {4 * (o.Grid - 1) + 1}."

        fine

    /// The Gaussian field behind the coefficient.
    let field (o: DarcyOptions) : GaussianFieldOptions =
        GaussianField.create (Domain.Cube(2, 1.0, Boundary.Neumann)) (Math.Pow(o.Tau, o.Alpha - 1.0)) o.Tau o.Alpha

    let private coefficients (o: DarcyOptions) (fine: int) (seed: int) (first: int) (count: int) : Tensor =
        let law = field o

        let layout =
            if o.Scheme = DarcyScheme.Literature then
                PointLayout.Cells
            else
                PointLayout.Nodes

        let points = Discretisation.Uniform(law.Domain, [| fine; fine |], [| layout; layout |])
        let g = GaussianField.values law seed 0 first count points

        if o.Coefficient = DarcyCoefficient.Lognormal then
            let a = g.mul(o.LogScale).exp()
            let high, low = a.max().ToDouble(), a.min().ToDouble()

            // The linear solver works with their ratio.
            if not (Double.IsFinite high && low > 0.0 && high / low < 1e12) then
                bad $"Coefficients from {low:g3} to {high:g3} cannot be solved for; take a LogScale below {o.LogScale}."

            a
        else
            g.lt(0.0).``to``(torch.float64).mul(o.Low - o.High).add o.High

    let private sampleOf (o: DarcyOptions) (fine: int) (seed: int) (sample: int) : Tensor[] =
        let every = (fine - 1) / (o.Grid - 1)
        let a = coefficients o fine seed sample 1
        let values = Tensors.toArray a
        let h = 1.0 / float (fine - 1)

        let pressures =
            if o.Scheme = DarcyScheme.Literature then
                literature fine o.Forcing values
            else
                pressure harmonic fine fine h h values (fun _ -> o.Forcing)

        let points = Discretisation.Uniform(Domain.Cube(2, 1.0, Boundary.Open), [| fine; fine |])
        let onFine (x: Tensor) = new Field(points, x.unsqueeze 1L)
        let u = onFine (Tensors.ofArray pressures a.shape torch.float64 torch.CPU)
        let reduce = if o.CellMeans then FieldParts.coarsen else FieldParts.stride
        let kept = [| every; every |]
        [| (reduce kept (onFine a)).Values.squeeze 1L; (FieldParts.stride kept u).Values.squeeze 1L |]

    /// Samples of the operator from `a` to `u`, both at Grid x Grid nodes of the open unit square. Under the published scheme values belong to cell
    /// centres and are given at the nodes of the same number, as the published data are used.
    let generate (o: DarcyOptions) (g: Generation) : OperatorDataset =
        let fine = check o
        let made = Generations.runEach g (sampleOf o fine g.Seed)
        let points = Discretisation.Uniform(Domain.Cube(2, 1.0, Boundary.Open), [| o.Grid; o.Grid |])

        let source =
            Generations.source
                "-div(a grad u) = f"
                [
                    "grid", box o.Grid
                    "fineGrid", box fine
                    "alpha", box o.Alpha
                    "tau", box o.Tau
                    "coefficient", box (string o.Coefficient)
                    "high", box o.High
                    "low", box o.Low
                    "logScale", box o.LogScale
                    "forcing", box o.Forcing
                    "scheme", box (string o.Scheme)
                    "cellMeans", box o.CellMeans
                ]
                g

        new OperatorDataset(
            [| "a", Generations.scalarField points made[0] |],
            ("u", Generations.scalarField points made[1]),
            source
        )
