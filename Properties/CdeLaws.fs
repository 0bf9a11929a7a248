namespace Continuum.Properties

open System
open Continuum
open TorchSharp

/// A controlled differential equation with its data: laws can be tried on it.
type CdeProblem = {
    /// For messages.
    Name: string
    /// The field.
    Field: CdeField
    /// Observations, float64.
    Series: SeriesBatch
    /// How they become a path.
    Control: ControlOptions
    /// State at the start, (..., n), float64.
    Initial: Tensor
}

/// Linear equations dz = sum_i A_i z dX^i, whose solution along a piecewise linear path is a product of matrix exponentials.
[<RequireQualifiedAccess>]
module LinearCde =
    /// The field of matrices A (channels, n, n), which are its parameter.
    let field (matrices: Tensor) : CdeField =
        CdeField.create (int matrices.shape[0]) [ matrices ] (fun z ->
            // (..., n) to (..., n, channels): column i is A_i z.
            torch.einsum ("cij,...j->...ic", matrices, z))

    /// The solution at the end of a piecewise linear path: exp(sum_i A_i dX^i) of each piece in turn, for z0 (..., n).
    let exact (matrices: Tensor) (path: ControlPath) (z0: Tensor) : Tensor =
        use _ = torch.NewDisposeScope()
        use _ = torch.no_grad ()
        let knots = path.Knots
        let mutable z = z0

        for k in 0 .. knots.Length - 2 do
            let increment = path.Increment(knots[k], knots[k + 1])
            let generator = torch.einsum ("cij,...c->...ij", matrices, increment)
            z <- torch.matmul(torch.matrix_exp generator, z.unsqueeze -1L).squeeze -1L

        z.MoveToOuterDisposeScope()

/// The laws of controlled differential equations. Each takes what it is about (options, a problem that may be your own) and
/// says whether the law holds, with the numbers.
[<RequireQualifiedAccess>]
module CdeLaws =

    let private gap (a: Tensor) (b: Tensor) : float =
        use _ = torch.NewDisposeScope()
        let size = Math.Max(1.0, b.detach().abs().max().ToDouble())
        a.detach().sub(b.detach ()).abs().max().ToDouble() / size

    let private solveOn (options: CdeOptions) (field: CdeField) (path: ControlPath) (z0: Tensor) : Tensor =
        use _ = torch.no_grad ()
        (TensorCde.solve options field path z0).EnsureSuccess().Final

    let private finalOf
        (options: CdeOptions)
        (control: ControlOptions)
        (field: CdeField)
        (series: SeriesBatch)
        (z0: Tensor)
        =
        use path = ControlPath.create control series
        solveOn options field path z0

    let private law (text: string) (found: float) (allowed: float) : LawResult = {
        Law = text
        Holds = found <= allowed
        Detail = $"relative gap %.1e{found}, allowed %.1e{allowed}"
    }

    let private describe (options: CdeOptions) = $"{options.Method.Name}, {options.Form}, {options.Steps}"

    /// On a linear equation along a piecewise linear path the error against the product of matrix exponentials falls with the method's order,
    /// kinks or not: the observed slope is at least the order less 0.25. matrices: (channels, n, n).
    let convergence (options: CdeOptions) (matrices: Tensor) (path: ControlPath) (z0: Tensor) : LawResult =
        use _ = torch.NewDisposeScope()
        let exact = LinearCde.exact matrices path z0
        let field = LinearCde.field matrices

        let pairs =
            [| 1; 2; 4; 8; 16 |]
            |> Array.map (fun count ->
                let found = solveOn { options with Steps = CdeSteps.PerPiece count } field path z0
                struct (1.0 / float count, gap found exact))

        let observed = Slope.observed pairs

        {
            Law =
                $"{options.Method.Name}, {options.Form}, converges with order {options.Method.Order} along a path with kinks"
            Holds = observed >= float options.Method.Order - 0.25
            Detail = $"observed order %.2f{observed}; " + Slope.describe pairs
        }

    /// Along a smooth path the error against fine steps falls with this order.
    let order (options: CdeOptions) (expected: float) (problem: CdeProblem) : LawResult =
        use _ = torch.NewDisposeScope()
        use path = ControlPath.create problem.Control problem.Series

        let at form count =
            solveOn { options with Form = form; Steps = CdeSteps.PerPiece count } problem.Field path problem.Initial

        let exact =
            solveOn
                {
                    options with
                        Form = CdeForm.Rate
                        Method = RungeKutta Methods.Dop853
                        Steps = CdeSteps.PerPiece 64
                }
                problem.Field
                path
                problem.Initial

        let pairs =
            [| 1; 2; 4; 8; 16 |]
            |> Array.map (fun count -> struct (1.0 / float count, gap (at options.Form count) exact))

        let observed = Slope.observed pairs

        {
            Law = $"{options.Method.Name}, {options.Form}, has order {expected} on {problem.Name}"
            Holds = observed >= expected - 0.25
            Detail = $"observed order %.2f{observed}; " + Slope.describe pairs
        }

    /// The solution depends on the curve alone, not on how fast it is run through: the same values at other knots, at other speeds,
    /// end in the same state (here without a time channel, which would be another curve). Bit for bit with one step a piece on straight pieces;
    /// allowed is the methods' error otherwise.
    let reparameterisation
        (options: CdeOptions)
        (allowed: float)
        (field: CdeField)
        (values: Tensor)
        (one: float[])
        (other: float[])
        (z0: Tensor)
        =
        use _ = torch.NewDisposeScope()
        let at (knots: float[]) = solveOn options field (ControlPath.linear knots values) z0
        law $"the speed along a curve does not matter ({describe options})" (gap (at one) (at other)) allowed

    /// Another knot on a straight piece changes nothing but rounding and the method's error: adds one in the middle of every piece.
    let collinearKnots
        (options: CdeOptions)
        (allowed: float)
        (field: CdeField)
        (knots: float[])
        (values: Tensor)
        (z0: Tensor)
        : LawResult =
        use _ = torch.NewDisposeScope()
        let n = values.shape[values.shape.Length - 2]
        let rows = values.dim () - 2L

        let middles =
            (values.narrow (rows, 0L, n - 1L)).add(values.narrow (rows, 1L, n - 1L)).mul(0.5.ToScalar())

        let mixed =
            torch.stack([| values.narrow (rows, 0L, n - 1L); middles |], rows + 1L).flatten(rows, rows + 1L)

        let all = torch.cat ([| mixed; values.narrow (rows, n - 1L, 1L) |], rows)

        let finer =
            Array.init (2 * knots.Length - 1) (fun i ->
                if i % 2 = 0 then knots[i / 2] else 0.5 * (knots[i / 2] + knots[i / 2 + 1]))

        let plain = solveOn options field (ControlPath.linear knots values) z0
        let cut = solveOn options field (ControlPath.linear finer all) z0
        law $"a knot on a straight line changes nothing ({describe options})" (gap cut plain) allowed

    /// A path and then the same path backward bring the state back.
    let thereAndBack
        (options: CdeOptions)
        (allowed: float)
        (field: CdeField)
        (values: Tensor)
        (z0: Tensor)
        : LawResult =
        use _ = torch.NewDisposeScope()
        let rows = values.dim () - 2L
        let n = values.shape[int rows]
        let back = values.narrow(rows, 0L, n - 1L).flip([| rows |])
        let both = torch.cat ([| values; back |], rows)
        let knots = Array.init (2 * int n - 1) float
        let final = solveOn options field (ControlPath.linear knots both) z0
        law $"there and back again ({describe options})" (gap final z0) allowed

    /// More rows after the end of every series, whatever they hold, change nothing: the end state stays within rounding.
    let padding (options: CdeOptions) (rows: int) (problem: CdeProblem) : LawResult =
        use _ = torch.NewDisposeScope()
        let series = problem.Series
        let extra = int64 rows
        let values = series.Values

        let pad =
            torch.full ([| values.shape[0]; extra; values.shape[2] |], 17.0.ToScalar(), dtype = values.dtype)

        let times = series.Times
        let last = times.narrow (1L, times.shape[1] - 1L, 1L)
        let later = last.add (torch.arange (1L, extra + 1L, dtype = torch.float64))

        use longer =
            SeriesBatch.ofTensors
                series.Ids
                (if series.SharesTimes then
                     torch.cat([| times; later |], 1L).squeeze 0L
                 else
                     torch.cat ([| times; later |], 1L))
                (torch.cat ([| values; pad |], 1L))
                series.Lengths

        let plain = finalOf options problem.Control problem.Field series problem.Initial
        let padded = finalOf options problem.Control problem.Field longer problem.Initial
        law $"rows after the end change nothing, on {problem.Name}" (gap padded plain) 1e-12

    /// A series in a batch is solved as alone: a field must not mix samples. Initial: (series, n).
    let batching (options: CdeOptions) (allowed: float) (problem: CdeProblem) : LawResult =
        use _ = torch.NewDisposeScope()
        use path = ControlPath.create problem.Control problem.Series
        let together = solveOn options problem.Field path problem.Initial

        let worst =
            seq { 0 .. problem.Series.Count - 1 }
            |> Seq.map (fun i ->
                use _ = torch.NewDisposeScope()
                use one = problem.Series.Select [| i |]
                use path = ControlPath.create problem.Control one
                let alone = solveOn options problem.Field path (problem.Initial.narrow (0L, int64 i, 1L))
                gap alone (together.narrow (0L, int64 i, 1L)))
            |> Seq.max

        law $"a series in a batch is solved as alone, on {problem.Name}" worst allowed

    /// What comes later does not change what was: with all values from row `from` on replaced, the states at the observations
    /// before row from - lag stay the same bits. The lag is 0 for causal paths, and the most rows a channel goes unobserved plus one for
    /// paths that interpolate.
    let causality (options: CdeOptions) (from: int) (lag: int) (problem: CdeProblem) : LawResult =
        use _ = torch.NewDisposeScope()
        use _ = torch.no_grad ()
        let series = problem.Series
        let changed = series.Values.clone ()
        let rest = changed.narrow (1L, int64 from, changed.shape[1] - int64 from)
        rest.mul_((-1.5).ToScalar()).add_(3.0.ToScalar()) |> ignore

        use other =
            SeriesBatch.ofTensors
                series.Ids
                (if series.SharesTimes then series.Times.squeeze 0L else series.Times)
                changed
                series.Lengths

        let states (series: SeriesBatch) =
            use path = ControlPath.create problem.Control series
            let options = { options with SaveAt = CdeSave.Observations }
            (TensorCde.solve options problem.Field path problem.Initial).EnsureSuccess().States

        let count = int64 (from - lag)
        let before = (states series).narrow(0L, 0L, count)
        let after = (states other).narrow(0L, 0L, count)
        let found = before.sub(after).abs().max().ToDouble()
        law $"rows from {from} on do not change the first {count} states, on {problem.Name}" found 0.0

    /// The path takes the values that were observed (allowed: rounding), time included.
    let hitsData (control: ControlOptions) (series: SeriesBatch) : LawResult =
        use _ = torch.NewDisposeScope()
        use _ = torch.no_grad ()
        use path = ControlPath.create control series
        let clock = path.Observations
        let channels = int64 series.Channels
        let mutable worst = 0.0

        for k in 0 .. clock.Length - 1 do
            let value = (path.Value clock[k]).reshape [| int64 series.Count; int64 path.Channels |]
            let data = series.Values.select (1L, int64 k)
            let found = value.narrow (1L, int64 path.Channels - channels, channels)
            let size = Math.Max(1.0, series.Values.nan_to_num(0.0).abs().max().ToDouble())
            let off = found.sub(data).nan_to_num(0.0).abs().max().ToDouble() / size
            worst <- Math.Max(worst, off)

            if control.TimeChannel && series.SharesTimes then
                let now = series.Times.[0L, int64 k].ToDouble()
                let alive = Array.init series.Count (fun i -> k < series.Lengths[i])
                let times = Tensors.toArray (value.narrow (1L, 0L, 1L))

                for i in 0 .. series.Count - 1 do
                    if alive[i] then
                        worst <- Math.Max(worst, abs (times[i] - now) / Math.Max(1.0, abs now))

        law $"a {control.Scheme} path goes through its observations" worst 1e-12

    /// The derivative is that of the values, at knots from the side that was asked for: it agrees with one-sided difference quotients.
    let sides (path: ControlPath) : LawResult =
        use _ = torch.NewDisposeScope()
        use _ = torch.no_grad ()
        let knots = path.Knots
        let mutable worst = 0.0

        let compare (t: float) (side: Side) =
            let h = (if side = Side.Right then 1.0 else -1.0) * 1e-4 * (knots[1] - knots[0])
            // Second order from one side: (-3 x0 + 4 x1 - x2) / 2h.
            let quotient =
                path
                    .Value(t)
                    .mul((-3.0).ToScalar())
                    .add(path.Value(t + h).mul(4.0.ToScalar()))
                    .sub(path.Value(t + 2.0 * h))
                    .div((2.0 * h).ToScalar())

            worst <- Math.Max(worst, gap (path.Derivative(t, side)) quotient)

        for k in 0 .. knots.Length - 2 do
            compare knots[k] Side.Right
            compare knots[k + 1] Side.Left
            compare (0.6 * knots[k] + 0.4 * knots[k + 1]) Side.Right

        law "the derivative of a path is its slope, on the side asked for" worst 1e-5

    /// Values that are dropped from linear data leave the path what it was, for schemes that interpolate. keep: whether to keep the value of
    /// a series, row and channel; the first and last rows are always kept.
    let droppedValues (control: ControlOptions) (keep: int -> int -> int -> bool) (series: SeriesBatch) : LawResult =
        use _ = torch.NewDisposeScope()
        use _ = torch.no_grad ()
        let shape = series.Values.shape
        let values = Tensors.toArray series.Values
        let rows, channels = int shape[1], int shape[2]

        let dropped =
            values
            |> Array.mapi (fun i x ->
                let channel = i % channels
                let row = i / channels % rows
                let one = i / channels / rows
                if row = 0 || row = rows - 1 || keep one row channel then x else nan)

        use holes =
            SeriesBatch.ofTensors
                series.Ids
                (if series.SharesTimes then series.Times.squeeze 0L else series.Times)
                (Tensors.ofArray dropped shape torch.float64 torch.CPU)
                series.Lengths

        use whole = ControlPath.create control series
        use filled = ControlPath.create control holes

        let at (path: ControlPath) =
            [| 0..40 |]
            |> Array.map (fun i -> path.Value(path.Start + (path.End - path.Start) * float i / 40.0))
            |> torch.stack

        law $"dropped values of linear data change nothing ({control.Scheme})" (gap (at filled) (at whole)) 1e-12

    // ---------------------------------------------------------------------------------------------------------- gradients

    let private loss (states: Tensor) : Tensor =
        let weights = torch.arange (states.numel (), dtype = states.dtype)
        let weights = weights.mul((0.7).ToScalar()).add((0.3).ToScalar()).cos().reshape states.shape
        states.mul(weights).sum().add(states.pow(2.0.ToScalar()).sum().mul(0.05.ToScalar()))

    let private withValues (problem: CdeProblem) (values: Tensor) : SeriesBatch =
        let series = problem.Series

        SeriesBatch.ofTensors
            series.Ids
            (if series.SharesTimes then series.Times.squeeze 0L else series.Times)
            values
            series.Lengths

    let private lossOf (options: CdeOptions) (problem: CdeProblem) (values: Tensor) (z0: Tensor) : Tensor =
        use series = withValues problem values
        use path = ControlPath.create problem.Control series
        loss ((TensorCde.solve options problem.Field path z0).EnsureSuccess().States)

    /// The gradient of a loss that weighs all saved states differently, for the data, the initial state and the parameters, flattened.
    let gradient (options: CdeOptions) (problem: CdeProblem) : float[] =
        use _ = torch.NewDisposeScope()
        let values = problem.Series.Values.detach().clone().requires_grad_ true
        let z0 = problem.Initial.detach().clone().requires_grad_ true
        let value = lossOf options problem values z0
        let inputs = Array.append [| values; z0 |] problem.Field.Parameters
        Autograd.vjp [| value |] inputs [| torch.ones_like value |] |> Array.collect Tensors.toArray

    /// Central differences of the same loss. Entries of the data that are missing have gradient zero.
    let differences (options: CdeOptions) (problem: CdeProblem) : float[] =
        use _ = torch.NewDisposeScope()
        use _ = torch.no_grad ()
        let values = problem.Series.Values.detach().clone()
        let z0 = problem.Initial.detach().clone()

        [|
            for x in Array.append [| values; z0 |] problem.Field.Parameters do
                let flat = x.reshape -1L

                for i in 0L .. flat.numel () - 1L do
                    let at = flat.[i]
                    let centre = at.ToDouble()

                    if Double.IsNaN centre then
                        yield 0.0
                    else
                        let at' (x: float) =
                            use _ = torch.NewDisposeScope()
                            at.fill_ (x.ToScalar()) |> ignore
                            (lossOf options problem values z0).ToDouble()

                        let above, below = at' (centre + 1e-6), at' (centre - 1e-6)
                        at.fill_ (centre.ToScalar()) |> ignore
                        yield (above - below) / 2e-6
        |]

    /// Two ways to differentiate (or options) give the same gradient for data, initial state and parameters.
    let sameGradient (allowed: float) (problem: CdeProblem) (one: CdeOptions) (other: CdeOptions) : LawResult =
        let found = GradientLaws.relativeGap (gradient one problem) (gradient other problem)
        let name (options: CdeOptions) = (string options.Differentiation).Split([| ' '; '\n' |])[0]
        law $"{name one} and {name other} give the same gradient on {problem.Name} ({describe one})" found allowed

    /// The gradient is the limit of difference quotients.
    let gradientOfDifferences (allowed: float) (problem: CdeProblem) (options: CdeOptions) : LawResult =
        let found = GradientLaws.relativeGap (gradient options problem) (differences options problem)
        let name = (string options.Differentiation).Split([| ' '; '\n' |])[0]
        law $"{name} gives the limit of difference quotients on {problem.Name} ({describe options})" found allowed

    /// Pushing rows one by one gives the states of the solve along the whole path, for causal options and series of one length. The initial
    /// state is a map of the path's first value.
    let streaming (allowed: float) (options: CdeOptions) (initial: Tensor -> Tensor) (problem: CdeProblem) : LawResult =
        use _ = torch.NewDisposeScope()
        use _ = torch.no_grad ()
        let series = problem.Series
        use path = ControlPath.create problem.Control series

        let whole =
            TensorCde.solve { options with SaveAt = CdeSave.Observations } problem.Field path (initial path.First)

        let times = series.Times.expand ([| int64 series.Count; int64 series.Length |])

        use stream =
            new CdeStream(problem.Field, problem.Control, options, Func<_, _> initial, series.Count, series.Channels)

        let pushed =
            Array.init series.Length (fun k ->
                let row = series.Values.select (1L, int64 k)
                stream.Push(Tensors.toArray (times.select (1L, int64 k)), row))

        law
            $"pushed one by one as in one solve, on {problem.Name} ({problem.Control.Scheme})"
            (gap (torch.stack pushed) whole.States)
            allowed
