// The log-ODE method: a controlled differential equation over a window of its path, as an ordinary one driven by a log-signature.
//   dz = sum_i f_i(z) dX^i over [r, s]    becomes    dz/du = sum over brackets w of <LogSig(X), w> f_w(z), u in [0, 1],
// f_w the Lie bracket of the vector fields that w names. Castell and Gaines 1995; Morrill, Salvi, Kidger and Foster 2021 (neural RDEs:
// f_w learned freely); Walker, McLeod, Qin, Cheng, Li and Lyons 2024 (log-NCDEs: true brackets).
namespace Continuum

open System
open System.Collections.Generic
open TorchSharp

/// Log-signatures of a batch of paths over consecutive windows: what drives a log-ODE.
type LogDriver = {
    /// Channels, depth, and the order of coordinates.
    Basis: LyndonBasis
    /// Where windows start and end: one more than there are windows.
    Knots: float[]
    /// The paths at the first knot, (..., channels).
    Start: Tensor
    /// Log-signatures over the windows, (..., windows, Basis.Size).
    Increments: Tensor
} with

    /// Number of windows.
    member driver.Windows = driver.Knots.Length - 1

    /// A path through log-signature space, linear between the knots: (..., knots, Basis.Size). Its first channels are the data themselves at
    /// the knots, the others start at 0. A neural RDE is a controlled equation driven by it.
    member driver.Cumulative: Tensor =
        use _ = torch.NewDisposeScope()
        let increments = driver.Increments
        let shape = Array.append driver.Start.shape[.. driver.Start.shape.Length - 2] [| 1L |]
        let rest = int64 (driver.Basis.Size - driver.Basis.Channels)

        let zeros =
            torch.zeros (Array.append shape [| rest |], dtype = increments.dtype, device = increments.device)

        let start = torch.cat ([| driver.Start.unsqueeze -2L; zeros |], -1L)
        torch.cat([| start; increments |], -2L).cumsum(-2L).MoveToOuterDisposeScope()

/// The vector fields of a log-ODE. Made by LogOde.neural and LogOde.brackets.
[<Sealed; AllowNullLiteral>]
type LogOdeField internal (fields: Func<Tensor, Tensor>, parameters: Tensor[], trueBrackets: bool) =
    /// From a state (..., n) to (..., n, channels) for true brackets, (..., n, coordinates of the log-signature) otherwise.
    member _.Eval(z: Tensor) = fields.Invoke z
    /// The tensors that the fields read and whose gradients are wanted.
    member _.Parameters = parameters
    /// Whether brackets are computed from the fields of the channels, or one field is given for each coordinate.
    member _.HasTrueBrackets = trueBrackets

/// The states of a log-ODE at the knots of its driver. Owns its tensors unless a dispose scope does.
[<Sealed; AllowNullLiteral>]
type LogOdeSolution
    internal (knots: float[], states: Tensor, solutions: TensorSolution[], status: Status, message: string, thrown: exn)
    =
    let total (count: Statistics -> int) = solutions |> Array.sumBy (fun solution -> count solution.Statistics)

    /// Knots reached: all of them unless a window failed.
    member _.Knots = knots
    /// States at the knots reached, (knots, ..., n); the first is the initial state.
    member _.States = states
    /// The state at the last knot reached.
    member _.Final = states.select (0L, states.shape[0] - 1L)
    /// How the solve ended.
    member _.Status = status
    /// One line for people; empty on success.
    member _.Message = message
    /// Evaluations of the right-hand side over all windows. One with true brackets to depth N differentiates the fields N - 1 times.
    member _.Evaluations = total _.Evaluations
    /// Accepted steps.
    member _.Accepted = total _.Accepted
    /// Rejected steps.
    member _.Rejected = total _.Rejected

    /// Throws SolveFailedException unless all windows were solved.
    member this.EnsureSuccess() =
        if status <> Status.Success then
            raise (SolveFailedException(status, knots[knots.Length - 1], message, thrown))

        this

    interface IDisposable with
        member _.Dispose() = states.Dispose()

/// Sums of Lie brackets of vector fields, by derivatives along them.
[<RequireQualifiedAccess>]
module internal BracketFlow =

    /// (..., n, m) times (..., m).
    let contract (matrix: Tensor) (coefficients: Tensor) : Tensor = Tensors.product matrix coefficients

    /// D f(x) v, by two reverse sweeps.
    let private twiceReverse (record: bool) (f: Tensor -> Tensor) (x: Tensor) (v: Tensor) : Tensor =
        use _ = torch.enable_grad ()
        let own = Autograd.pointOf record x
        let y = Nesting.Apply f own

        if not y.requires_grad then
            torch.zeros_like y
        else
            let w = (torch.zeros_like y).requires_grad_ true
            let pulled = Autograd.vjpGraph [| y |] [| own |] [| w |]
            let pushed = (if record then Autograd.vjpGraph else Autograd.vjp) pulled [| w |] [| v |]
            pushed[0]

    /// D f(x) v. `plain`: f contains no derivative, so that forward mode can pass.
    let private push (plain: bool) (coefficients: Tensor[]) (f: Tensor -> Tensor) (x: Tensor) (v: Tensor) : Tensor =
        let wanted = v.requires_grad || coefficients |> Array.exists _.requires_grad
        let record = Nesting.Records x || (torch.is_grad_enabled () && wanted)

        if plain && not record then
            let struct (_, pushed) = Autograd.jvp f x v
            pushed
        else
            twiceReverse record f x v

    /// The vector field of a Lie element with coordinates L^w at words w: sum over w = (i1, ..., ik) of L^w f_i1 (f_i2 (... f_ik)), where
    /// f (g) = (D g) f. For single words these are not vector fields of brackets; in the sum over a Lie element what is not
    /// cancels. levels[k - 1] has shape (..., d^k), with the batch dimensions of z.
    /// `folded`: the fields act on the last dimension, so the derivatives along all d fields are taken in one call, on d copies of z.
    let rec value (fields: Tensor -> Tensor) (folded: bool) (levels: Tensor[]) (z: Tensor) : Tensor =
        let directions = fields z
        let first = contract directions levels[0]

        if levels.Length = 1 then
            first
        else
            let channels = directions.shape[directions.shape.Length - 1]

            // The words that start with letter i, without it: i in front.
            let rest =
                Array.sub levels 1 (levels.Length - 1)
                |> Array.map (fun level ->
                    let batch = level.shape[.. level.shape.Length - 2]
                    level.reshape(Array.append batch [| channels; -1L |]).movedim([| -2L |], [| 0L |]))

            let along = directions.movedim ([| -1L |], [| 0L |])
            let plain = levels.Length = 2

            let higher =
                if folded then
                    // A dual tensor needs memory of its own.
                    let copies = z.expand(Array.append [| channels |] z.shape).contiguous()
                    (push plain rest (value fields folded rest) copies (along.contiguous ())).sum 0L
                else
                    let mutable sum: Tensor = null

                    for i in 0L .. channels - 1L do
                        let own = rest |> Array.map (fun level -> level.select (0L, i))
                        let term = push plain own (value fields folded own) z (along.select (0L, i))
                        sum <- if isNull sum then term else sum.add term

                    sum

            first.add higher

    /// Whether the fields act on the last dimension alone: stacked states give stacked fields.
    let folds (fields: Tensor -> Tensor) (z: Tensor) : bool =
        use _ = torch.NewDisposeScope()
        use _ = torch.no_grad ()

        try
            let z = z.detach ()
            let other = z.mul((0.75)).add((0.125))
            let apart = torch.stack [| fields z; fields other |]
            let together = fields (torch.stack [| z; other |])

            together.shape.AsSpan().SequenceEqual apart.shape
            && together.allclose (apart, rtol = 1e-4, atol = 1e-6)
        with _ ->
            false

/// The log-ODE method on tensors.
[<RequireQualifiedAccess>]
module LogOde =

    let private bad (text: string) = raise (ArgumentException text)

    let private interpolate (path: Tensor) (index: float) : Tensor =
        let left = int64 (floor index)
        let at = path.select (-2L, left)

        if index = floor index then
            at.alias ()
        else
            let step = path.select(-2L, left + 1L).sub at
            at.add (step.mul (index - floor index))

    /// From paths (..., points, channels) to their log-signatures over consecutive windows (Whole, Every or Between; ArgumentException
    /// for windows that overlap). times are those of the points, null for 0, 1, 2, ...; Between has its own.
    let driver (depth: int) (windows: Windows) (times: float[]) (path: Tensor) : LogDriver =
        let basis = LyndonBasis.Create(Paths.check path, depth)
        let points = int path.shape[path.shape.Length - 2]

        if points < 2 then
            bad "A log-ODE needs a path of at least two points."

        if not (isNull times) && times.Length <> points then
            bad $"There are {times.Length} times for a path of {points} points."

        if not (isNull times) && Seq.exists (fun (a, b) -> not (a < b)) (Seq.pairwise times) then
            bad "The times of a path must rise strictly."

        let bounds = SignatureWindows.bounds windows points

        let knots =
            match windows with
            | Windows.Between(_, bounds) -> Array.copy bounds
            | Windows.Whole
            | Windows.Every _ ->
                let timeOf (index: float) = if isNull times then index else times[int index]
                let struct (first, _) = bounds[0]
                Array.append [| timeOf first |] (bounds |> Array.map (fun (struct (_, last)) -> timeOf last))
            | _ -> bad $"A log-ODE goes from window to window: take Every, Between or Whole, not {windows}."

        use _ = torch.NewDisposeScope()
        let struct (first, _) = bounds[0]
        let start = interpolate path first
        let increments = SignatureWindows.logSignature depth windows path

        {
            Basis = basis
            Knots = knots
            Start = start.MoveToOuterDisposeScope()
            Increments = increments.MoveToOuterDisposeScope()
        }

    /// A neural RDE: one field for each coordinate of the log-signature, z (..., n) to (..., n, coordinates), and the tensors it reads with
    /// gradients of their own.
    let neural (parameters: seq<Tensor>) (f: Tensor -> Tensor) : LogOdeField =
        LogOdeField(Func<Tensor, Tensor>(fun z -> f z), Seq.toArray parameters, false)

    /// The true log-ODE of dz = f(z) dX: z (..., n) to (..., n, channels), and the tensors it reads with gradients of their own. It is
    /// differentiated depth - 1 times, so it must be that smooth. Fastest where it acts on the last dimension alone, whatever the
    /// others (as layers of a network do): that is found out with one trial evaluation a solve.
    let brackets (parameters: seq<Tensor>) (f: Tensor -> Tensor) : LogOdeField =
        LogOdeField(Func<Tensor, Tensor>(fun z -> f z), Seq.toArray parameters, true)

    /// The Lie bracket of two vector fields, [f, g](z) = Dg(z) f(z) - Df(z) g(z): the commutator of f and g as derivatives along them.
    /// For linear fields A z and B z it is (B A - A B) z.
    let bracket (f: Tensor -> Tensor) (g: Tensor -> Tensor) (z: Tensor) : Tensor =
        use _ = torch.NewDisposeScope()
        let struct (_, forth) = Autograd.jvp g z (f z)
        let struct (_, back) = Autograd.jvp f z (g z)
        forth.sub(back).MoveToOuterDisposeScope()

    /// The brackets of all words of a basis at z: from fields z (..., n) to (..., n, channels) to shape (..., n, basis.Size).
    let allBrackets (basis: LyndonBasis) (fields: Tensor -> Tensor) (z: Tensor) : Tensor =
        let found = Array.zeroCreate<Tensor -> Tensor> basis.Size

        for i in 0 .. basis.Size - 1 do
            found[i] <-
                match basis.Factors[i] with
                | struct (-1, _) -> fun z -> (fields z).select(-1L, int64 basis.Words[i].[0])
                | struct (u, v) -> bracket found[u] found[v]

        use _ = torch.NewDisposeScope()
        torch.stack(found |> Array.map (fun f -> f z), -1L).MoveToOuterDisposeScope()

    let private checkOptions (options: TensorOptions) =
        let solve = options.Solve

        if
            options.Events.Length > 0
            || solve.Events.Length > 0
            || solve.Scheduled.Length > 0
            || solve.Jumps.Length > 0
        then
            bad
                "A log-ODE is solved window by window in a clock of its own, where events, scheduled changes and jumps have no place."

        if options.Times.IsSome then
            bad "A log-ODE has no times to differentiate by: its windows take unit time each."

        if solve.SaveAt <> EndOnly then
            bad "A log-ODE returns its states at the knots of the driver; leave SaveAt at EndOnly."

        if solve.Heuristics then
            bad "The heuristics of a log-ODE are not summed over its windows; leave Heuristics out."

    /// The initial state's batch must be that of the driver, or the driver without a batch.
    let private checkShapes (field: LogOdeField) (driver: LogDriver) (z0: Tensor) =
        if isNull z0 || z0.dim () < 1L || z0.numel () = 0L then
            bad "The initial state needs shape (..., n) with at least one component."

        let batch = driver.Start.shape[.. driver.Start.shape.Length - 2]
        let own = z0.shape[.. z0.shape.Length - 2]

        if batch.Length > 0 && not (batch.AsSpan().SequenceEqual own) then
            bad
                $"The initial state has shape {Tensors.shapeText z0} and the driver's log-signatures {Tensors.shapeText driver.Increments}: the batch dimensions must agree."

        if z0.dtype <> driver.Increments.dtype then
            bad $"The initial state is {z0.dtype} and the driver {driver.Increments.dtype}; take one of them."

        use _ = torch.NewDisposeScope()
        use _ = torch.no_grad ()
        let value = field.Eval(z0.detach ())
        let columns = if field.HasTrueBrackets then driver.Basis.Channels else driver.Basis.Size
        let expected = Array.append z0.shape [| int64 columns |]

        if isNull value || not (value.shape.AsSpan().SequenceEqual expected) then
            let text = String.Join(", ", expected)
            let got = if isNull value then "null" else Tensors.shapeText value

            let what =
                if field.HasTrueBrackets then
                    "one column for each channel"
                else
                    "one column for each coordinate of the log-signature"

            bad
                $"The fields must return [{text}] ({what}) for a state of shape {Tensors.shapeText z0}; they returned {got}."

    /// dz/du over a window. Reads the driver's own tensor: backward sweeps call this long after the solve.
    let private rightSide (field: LogOdeField) (driver: LogDriver) (folded: bool) (window: int) (z: Tensor) =
        let coordinates = driver.Increments.select (-2L, int64 window)

        if not field.HasTrueBrackets then
            BracketFlow.contract (field.Eval z) coordinates
        else
            let basis = driver.Basis
            let batch = z.shape[.. z.shape.Length - 2]
            let words = (basis.Expand coordinates).expand(Array.append batch [| -1L |])
            let mutable start = 0L

            let levels =
                Array.init basis.Depth (fun k ->
                    let count = pown (int64 basis.Channels) (k + 1)
                    let level = words.narrow (-1L, start, count)
                    start <- start + count
                    level)

            BracketFlow.value field.Eval folded levels z

    /// Solves the log-ODE from z0 (..., n) at the first knot through all windows. Each window takes unit time of a clock of its own: `Fixed h`
    /// with h = 1 is one step a window, and adaptive steps never cross a knot. Any method and any way to differentiate of TensorOde;
    /// gradients flow to z0, the field's parameters and the driver, which must live until then. ArgumentException for misuse; failures while solving are in the Status,
    /// with the states before.
    let solve (options: TensorOptions) (field: LogOdeField) (driver: LogDriver) (z0: Tensor) : LogOdeSolution =
        ArgumentNullException.ThrowIfNull field
        checkOptions options
        checkShapes field driver z0
        use _ = torch.NewDisposeScope()
        let folded = field.HasTrueBrackets && driver.Basis.Depth > 1 && BracketFlow.folds field.Eval z0

        let parameters =
            if driver.Increments.requires_grad then
                Array.append field.Parameters [| driver.Increments |]
            else
                field.Parameters

        let states = List<Tensor>([ z0 ])
        let solutions = List<TensorSolution>()
        let mutable status = Status.Success
        let mutable message = ""
        let mutable options = options
        let guess = options.Solve.InitialStep.IsNone
        let mutable window = 0

        while status = Status.Success && window < driver.Windows do
            let index = window
            let eval = Func<Tensor, Tensor, Tensor>(fun _ z -> rightSide field driver folded index z)
            let solution = TensorOde.solve options (TensorField(eval, parameters, true)) 0.0 1.0 states[window]
            solutions.Add solution
            status <- solution.Status
            window <- window + 1

            if status = Status.Success then
                states.Add solution.Final
                let step = solution.Statistics.LargestStep

                options <- {
                    options with
                        CheckTracking = false
                        Solve.InitialStep = if guess && step > 0.0 then ValueSome step else options.Solve.InitialStep
                }
            else
                message <-
                    $"In window {window - 1}, from {driver.Knots[window - 1]} to {driver.Knots[window]} (its clock runs from 0 to 1): {solution.Message}"

        let solutions = solutions.ToArray()

        let thrown =
            if status = Status.Success then
                null
            else
                solutions[solutions.Length - 1].Exception

        let reached = driver.Knots[.. states.Count - 1]
        let stacked = torch.stack(states).MoveToOuterDisposeScope()
        new LogOdeSolution(reached, stacked, solutions, status, message, thrown)
