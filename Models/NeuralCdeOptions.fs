// What the fit of a neural controlled differential equation is told.
namespace Continuum

open System

/// Everything the fit can be told. `NeuralCdeOptions.Default` is a classifier; `with Task = ...` makes the others.
type NeuralCdeOptions = {
    /// What is predicted.
    Task: NeuralCdeTask
    /// A prediction at every visit, from VisitTargets (NaN where unknown), instead of one at the end.
    PerVisit: bool
    /// Width of the hidden state of a layer.
    State: int
    /// Layers: the state of each drives the next one's equation.
    Layers: int
    /// Widths of the hidden layers of the vector fields.
    Hidden: int[]
    /// Nonlinearity of the networks.
    Activation: Activation
    /// The fields have a gate and decay with time, as a gated recurrent unit.
    Gated: bool
    /// How the path runs between the visits. Hermite is smooth and waits for one visit; Rectilinear suits use while visits arrive.
    Scheme: ControlScheme
    /// The path up to a visit depends on nothing later: missing values repeat the last one, the mean before the first. False interpolates
    /// missing values from later ones; predictions over time then look ahead. Forecasts need it.
    Causal: bool
    /// The path counts the observations of each channel, so that when and whether something was measured can be seen.
    Intensity: bool
    /// The readout also sees the path's value (time, counters, last known values) and the covariates, so that a linear model of these is
    /// part of the model. Not for forecasts, which have the last known values anyway.
    Skip: bool
    /// Depth of log-signatures (1 to 4): above 1 a neural rough differential equation, for long series with many visits a window.
    Depth: int
    /// Visits in a window of the log-signature: the equation takes one step a window.
    Window: int
    /// Name of the explicit method (Methods.Names). Euler suits Rectilinear, Heun suits Linear; Hermite needs order 3 for its increments.
    Method: string
    /// Steps between neighbouring knots of the path.
    StepsPerPiece: int
    /// Channels to take logarithms of; null takes the positive ones that are skewed to the right.
    Logarithmic: string[]
    /// Factor on the learning rate of the vector fields: below 1 they learn more slowly than the maps around them, for small data sets.
    FieldRate: float
    /// Names of the classes; null numbers them.
    ClassNames: string[]
    /// Weight of each class in the loss; null weighs all subjects alike.
    ClassWeights: float[]
    /// Share of the subjects, of every class alike, that decides which parameters are kept, and with Loop.Patience when to stop; 0: none. A
    /// controlled equation often learns little for a hundred iterations, and few subjects judge poorly: by default training runs to its end.
    ValidationFraction: float
    /// Visits after each cut that a forecaster is trained on.
    Horizon: int
    /// Longest step of a forecast, in scaled time (1 is about the length of the series).
    ForecastStep: float
    /// How gradients pass through the solves.
    Differentiation: Differentiation
    /// The training.
    Loop: TrainingLoopOptions
} with

    /// A classifier with 16 hidden states, one layer, Hermite paths with backward differences, one RK4 step between visits (its
    /// quadrature reproduces the increments of a cubic path; on linear and rectilinear paths Heun and Euler do, at less cost).
    static member Default = {
        Task = NeuralCdeTask.Classification
        PerVisit = false
        State = 16
        Layers = 1
        Hidden = [| 32 |]
        Activation = Activation.Silu
        Gated = false
        Scheme = ControlScheme.Hermite
        Causal = true
        Intensity = true
        Skip = true
        Depth = 1
        Window = 1
        Method = "Rk4"
        StepsPerPiece = 1
        Logarithmic = null
        FieldRate = 1.0
        ClassNames = null
        ClassWeights = null
        ValidationFraction = 0.2
        Horizon = 4
        ForecastStep = 0.1
        Differentiation = Differentiation.DiscreteDefault
        Loop = TrainingLoopOptions.Default
    }

/// Checks of options and data, and the configuration that follows from them.
[<RequireQualifiedAccess>]
module internal NeuralCdeOptions =
    let private bad (text: string) = raise (ArgumentException text)

    let private checkPath (options: NeuralCdeOptions) =
        let rough = options.Depth > 1 || options.Window > 1

        if options.Depth < 1 || options.Depth > 4 then
            bad $"Depth must lie between 1 and 4; got {options.Depth}"

        if options.Causal && options.Scheme = ControlScheme.NaturalCubic then
            bad
                "a natural cubic path depends on later visits: take Hermite, Linear or Rectilinear, or set Causal = false"

        if not options.Causal && options.Scheme = ControlScheme.Rectilinear then
            bad "a rectilinear path is causal: set Causal = true"

        if rough && (options.PerVisit || options.Task = NeuralCdeTask.Forecast) then
            bad
                "log-signatures have states at the ends of their windows only; take Depth = 1 and Window = 1 for predictions at every visit and forecasts"

        if rough && options.Scheme <> ControlScheme.Linear && options.Scheme <> ControlScheme.Hermite then
            bad
                $"log-signatures are those of the values at the visits; take Linear or Hermite instead of {options.Scheme}"

        if options.Task = NeuralCdeTask.Forecast && not options.Causal then
            bad "a forecaster must not see later visits: set Causal = true"

        if options.Task = NeuralCdeTask.Forecast && options.PerVisit then
            bad "a forecaster can start at every visit as it is: set PerVisit = false"

    /// Throws ArgumentException, naming the option and its value, for an option out of its range or that contradicts another.
    let check (options: NeuralCdeOptions) =
        OptionChecks.atLeast 1 "State" options.State
        OptionChecks.atLeast 1 "Layers" options.Layers
        OptionChecks.atLeast 1 "Window" options.Window
        OptionChecks.atLeast 1 "StepsPerPiece" options.StepsPerPiece
        OptionChecks.atLeast 1 "Horizon" options.Horizon

        if not (Enum.IsDefined options.Task) then
            raise (ArgumentOutOfRangeException(nameof options, options.Task, "not a task"))

        if Array.exists (fun width -> width < 1) options.Hidden then
            let widths = String.Join(", ", options.Hidden)
            bad $"Hidden needs widths of at least 1; got [{widths}]"

        OptionChecks.within 0.0 0.5 "ValidationFraction" options.ValidationFraction

        if not (options.FieldRate >= 0.0 && Double.IsFinite options.FieldRate) then
            bad $"FieldRate must not be negative; got {options.FieldRate}"

        if not (options.ForecastStep > 0.0) then
            bad $"ForecastStep must be positive; got {options.ForecastStep}"

        Methods.ByName options.Method |> ignore
        checkPath options
        TrainingLoopOptions.check options.Loop

    /// Column 0 of what is to be predicted, over subjects or over their visits, NaN where unknown.
    let private labelled (options: NeuralCdeOptions) (data: IrregularSeries) : struct (IrregularSubject * float)[] = [|
        for subject in data.Subjects do
            if options.PerVisit then
                for i in 0 .. subject.Path.Rows - 1 do
                    struct (subject, subject.VisitTargets[i, 0])
            else
                struct (subject, subject.Target[0])
    |]

    let private classNames (options: NeuralCdeOptions) (data: IrregularSeries) : string[] =
        let labels = labelled options data

        for struct (subject, label) in labels do
            if not (Double.IsNaN label) && not (label >= 0.0 && label = floor label && label < 10000.0) then
                bad $"subject '{subject.Id}' has the class {label}; classes are numbered 0, 1, 2, ..."

        let known =
            labels
            |> Array.map (fun (struct (_, label)) -> label)
            |> Array.filter (fun v -> not (Double.IsNaN v))

        let found = known |> Array.distinct |> Array.sort

        if found.Length < 2 then
            let list = String.Join(", ", found)
            bad $"the data have the classes [{list}]; at least two are needed"

        let count = int (Array.last found) + 1

        if isNull options.ClassNames then
            Array.init count string
        elif options.ClassNames.Length < count then
            bad $"the data have the class {count - 1}, and there are {options.ClassNames.Length} ClassNames"
        else
            options.ClassNames

    /// ArgumentException where the data have not what the task needs.
    let private checkTargets (options: NeuralCdeOptions) (data: IrregularSeries) =
        if options.Task <> NeuralCdeTask.Forecast then
            for subject in data.Subjects do
                if options.PerVisit && isNull subject.VisitTargets then
                    bad $"subject '{subject.Id}' has no visit targets; leave it out, or set PerVisit = false"

                if not options.PerVisit && subject.Target.Length = 0 then
                    bad $"subject '{subject.Id}' has no target; leave it out of the fit"

        let names = if options.PerVisit then data.VisitTargetNames else data.TargetNames

        if options.Task = NeuralCdeTask.Classification && names.Length <> 1 then
            bad $"a classifier has one column of classes; the data have {names.Length} target columns"

        if options.Task = NeuralCdeTask.Regression && names.Length = 0 then
            bad "the data have no target columns to be predicted"

        if options.Task = NeuralCdeTask.Regression then
            for subject in data.Subjects do
                for j in 0 .. names.Length - 1 do
                    let mine = if options.PerVisit then subject.VisitTargets[*, j] else [| subject.Target[j] |]

                    match mine |> Array.tryFind (fun v -> abs v > SeriesScaling.largest) with
                    | Some value ->
                        bad
                            $"subject '{subject.Id}' has {value} in the target '{names[j]}', too large to be fitted to; correct it or leave the subject out of the fit"
                    | None -> ()

    let private targetMoments
        (options: NeuralCdeOptions)
        (training: IrregularSeries)
        (j: int)
        : struct (float * float) =
        let values = [|
            for subject in training.Subjects do
                if options.PerVisit then
                    for i in 0 .. subject.Path.Rows - 1 do
                        if not (Double.IsNaN subject.VisitTargets[i, j]) then
                            subject.VisitTargets[i, j]
                else
                    subject.Target[j]
        |]

        if values.Length = 0 then
            struct (0.0, 1.0)
        else
            let mean = Array.average values
            let spread = sqrt (values |> Array.averageBy (fun v -> (v - mean) ** 2.0))
            struct (mean, (if spread > 1e-12 * (1.0 + abs mean) then spread else 1.0))

    /// The configuration for these data, scaled by those of them that are trained on. ArgumentException where the data have not what the task
    /// needs: targets, at least two classes, classes that are whole numbers from 0, a value of every channel, numbers whose squares are finite.
    let configure (options: NeuralCdeOptions) (data: IrregularSeries) (training: IrregularSeries) : NeuralCdeConfig =
        checkTargets options data
        SeriesScaling.check data

        let outputs =
            match options.Task with
            | NeuralCdeTask.Classification -> classNames options data
            | NeuralCdeTask.Forecast -> data.Channels
            | _ when options.PerVisit -> data.VisitTargetNames
            | _ -> data.TargetNames

        if not (isNull options.ClassWeights) then
            if options.Task <> NeuralCdeTask.Classification || options.ClassWeights.Length <> outputs.Length then
                bad
                    $"there are {options.ClassWeights.Length} ClassWeights for {outputs.Length} outputs of {options.Task}"

            if options.ClassWeights |> Array.exists (fun w -> not (w >= 0.0 && Double.IsFinite w)) then
                let list = String.Join(", ", options.ClassWeights)
                bad $"ClassWeights must not be negative; got [{list}]"

        let moments =
            if options.Task = NeuralCdeTask.Regression then
                Array.init outputs.Length (targetMoments options training)
            else
                [||]

        {
            Task = options.Task
            PerVisit = options.PerVisit
            Channels = data.Channels
            Statics = data.StaticNames
            Outputs = outputs
            State = options.State
            Layers = options.Layers
            Hidden = options.Hidden
            Activation = options.Activation
            Gated = options.Gated
            Scheme = options.Scheme
            Causal = options.Causal
            Intensity = options.Intensity
            Skip = options.Skip && options.Task <> NeuralCdeTask.Forecast
            Depth = options.Depth
            Window = options.Window
            Method = options.Method
            StepsPerPiece = options.StepsPerPiece
            ForecastStep = options.ForecastStep
            Seed = options.Loop.Seed
            Scaling = SeriesScaling.fit options.Logarithmic training
            TargetMean = moments |> Array.map (fun (struct (mean, _)) -> mean)
            TargetDeviation = moments |> Array.map (fun (struct (_, deviation)) -> deviation)
        }
