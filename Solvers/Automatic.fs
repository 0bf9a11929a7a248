// The automatic choice: an explicit method until its steps are limited by stability, then a stiff one until they would not be.
namespace Continuum

open System
open System.Collections.Generic

/// When the automatic choice changes its method. x = |h lambda| over the explicit method's real stability interval.
/// Hairer and Wanner II, IV.2 (the test and its counts); Petzold 1983 (switching both ways).
[<RequireQualifiedAccess>]
module internal SwitchRule =
    /// x above this speaks for stiffness, and three times as loud above the second: the estimate of lambda errs to below, and a
    /// smooth control keeps steps somewhat inside of the interval for good.
    let stiffAbove = 0.65
    let surelyAbove = 0.9
    /// Points that suffice: 10 loud steps or 30 others;
    let stiffPoints = 30
    /// so many steps in a row without one, and the count starts again.
    let forgetAfter = 6
    /// Errors below this do not: the step is short for another reason, or the slopes differ by rounding alone.
    let limitedError = 1e-4
    /// While nothing speaks for stiffness only every so many-th step is looked at.
    let lookEvery = 8
    /// x below this, with the stiff method's step, speaks for the explicit one,
    let calmBelow = 0.5
    /// so many times in a row; twice as often after each return that did not last.
    let calmTimes = 3
    /// Explicit steps that make a return worthwhile.
    let worthwhile = 40

/// What the automatic choice takes: see docs/ChoosingASolver.md for the measurements.
[<RequireQualifiedAccess>]
module internal AutomaticChoice =
    /// The explicit method for a tolerance: on the test set of Hull et al. Vern7 is as fast as Tsit5 at 1e-6 and faster below, Vern9
    /// faster than Vern7 from 1e-8 on. Fixed steps are Tsit5's.
    let explicit (options: SolveOptions<float[]>) : Tableau =
        let rtol = options.Tolerance.Rtol

        match options.Control with
        | Fixed _ -> Methods.Tsit5
        | Adaptive _ when rtol >= 1e-6 -> Methods.Tsit5
        | Adaptive _ when rtol >= 1e-8 -> Methods.Vern7
        | Adaptive _ -> Methods.Vern9

    /// Up to this size a factorisation costs less than a few evaluations, and Rodas5P gives the most accuracy for the time; above it
    /// BDF is ahead, which forms few Jacobians and keeps factorisations.
    let small = 32

    /// The stiff method for a system.
    let stiff (system: OdeSystem) : Method =
        if system.IsSplit then Esdirk EsdirkMethods.KenCarp4
        elif system.Size <= small then Rosenbrock RosenbrockMethods.Rodas5P
        else Bdf BdfFormula.maxOrder

    /// Why only a stiff method will do; null where an explicit one may begin.
    let whyStiff (system: OdeSystem) : string =
        if not system.HasIdentityMass then "the system has a mass matrix"
        elif system.IsSplit then "the field is split into two parts"
        else null

/// The stiff half of the automatic choice.
[<NoEquality; NoComparison>]
type internal StiffHalf = {
    /// The stepper.
    Stepper: IStepper<float[]>
    /// |lambda| of the largest eigenvalue of the Jacobian it last formed; NaN where not known.
    Radius: unit -> float
}

/// Two steppers as one. The explicit one begins and the stiff one is made when it is first needed; without an explicit one (null) the
/// stiff one does it all. feedback: the step control asked for by the user, or ValueNone for each method's own.
[<Sealed>]
type internal AutomaticStepper
    (
        explicit: IStepper<float[]>,
        explicitName: string,
        whyStiff: string,
        makeStiff: unit -> StiffHalf,
        stiffName: string,
        feedback: Feedback voption
    ) =
    let alone = isNull (box explicit)

    let probe =
        match box explicit with
        | :? IStiffnessProbe as probe -> probe
        | _ -> Unchecked.defaultof<_>

    let interval = if alone then nan else explicit.StabilityRadius
    let choices = List<MethodChoice>()
    let mutable stiff = if alone then makeStiff () else Unchecked.defaultof<StiffHalf>
    let mutable active = if alone then stiff.Stepper else explicit
    let mutable isStiff = alone
    let mutable made = alone
    let mutable stiffControl = Unchecked.defaultof<ControllerState>
    let mutable reason: string = null
    let mutable length = 0.0
    // evidence
    let mutable limited = 0
    let mutable points = 0
    let mutable unlimited = 0
    let mutable calm = 0
    let mutable calmNeeded = SwitchRule.calmTimes
    let mutable untilLook = SwitchRule.lookEvery
    let mutable stay = 0

    do
        choices.Add(
            if alone then
                { Time = nan; Method = stiffName; Reason = whyStiff }
            else
                {
                    Time = nan
                    Method = explicitName
                    Reason = "the start: explicit as long as stability does not limit its steps"
                }
        )

    let forget () =
        limited <- 0
        points <- 0
        unlimited <- 0
        calm <- 0

    /// What the attempted explicit step says about stiffness; true when it is enough.
    let limitedBy (error: float) =
        let x = length * probe.Stiffness / interval

        if x > SwitchRule.stiffAbove && error > SwitchRule.limitedError then
            limited <- limited + 1
            points <- points + (if x > SwitchRule.surelyAbove then 3 else 1)
            unlimited <- 0
        elif limited > 0 then
            unlimited <- unlimited + 1

            if unlimited >= SwitchRule.forgetAfter then
                forget ()

        points >= SwitchRule.stiffPoints

    let watchExplicit (error: float) =
        stay <- stay + 1
        untilLook <- untilLook - 1

        if limited > 0 || untilLook <= 0 then
            untilLook <- SwitchRule.lookEvery

            if limitedBy error then
                if made && stay < SwitchRule.worthwhile then
                    calmNeeded <- 2 * calmNeeded

                reason <-
                    $"|h lambda| stayed above {SwitchRule.stiffAbove} of {explicitName}'s stability interval for {limited} steps"

        nan

    let watchStiff (accepted: bool) (error: float) =
        let own = active.Factor(accepted, error)

        let factor =
            if alone || not (Double.IsNaN own) then own
            elif accepted then stiffControl.Accept error
            else stiffControl.Reject error

        let x = if alone then nan else length * stiff.Radius() / interval

        if x < SwitchRule.calmBelow then
            calm <- calm + 1

            if calm >= calmNeeded then
                reason <-
                    $"|h lambda| stayed below {SwitchRule.calmBelow} of {explicitName}'s stability interval for {calm} steps"
        else
            calm <- 0

        factor

    let becomeStiff () =
        if not made then
            stiff <- makeStiff ()
            made <- true

        stiffControl <-
            ControllerState(
                match feedback with
                | ValueSome feedback -> feedback
                | ValueNone -> stiff.Stepper.DefaultFeedback
            )

        stiff.Stepper.Start(active.Time, active.State)
        active <- stiff.Stepper
        isStiff <- true

    let becomeExplicit () =
        explicit.Start(active.Time, active.State)
        active <- explicit
        isStiff <- false
        stay <- 0

    /// Between steps: the other method goes on from the current state.
    let change () =
        let time = active.Time
        if isStiff then becomeExplicit () else becomeStiff ()
        forget ()

        choices.Add {
            Time = time
            Method = (if isStiff then stiffName else explicitName)
            Reason = reason
        }

        reason <- null

    /// The stepper in use.
    member _.Active = active
    /// Whether that is the stiff one.
    member _.IsStiff = isStiff

    interface IStepper<float[]> with
        member _.ErrorOrder = active.ErrorOrder
        member _.IsAdaptive = true
        member _.DefaultFeedback = active.DefaultFeedback
        member _.Start(t, y) = active.Start(t, y)
        member _.InitialStep(direction, longest) = active.InitialStep(direction, longest)

        member _.Try(h, tEnd) =
            if not (isNull reason) then
                change ()

            length <- abs h
            active.Try(h, tEnd)

        member _.Accept() = active.Accept()
        member _.Time = active.Time
        member _.State = active.State
        member _.Candidate = active.Candidate
        member _.Interpolate theta = active.Interpolate theta
        member _.DenseStep() = active.DenseStep()

        member _.Evaluations =
            (if alone then 0 else explicit.Evaluations) + (if made then stiff.Stepper.Evaluations else 0)

        member _.Heuristics() = active.Heuristics()
        member _.StabilityRadius = active.StabilityRadius
        member _.WorstComponent() = active.WorstComponent()

        member _.Factor(accepted, error) = if isStiff then watchStiff accepted error else watchExplicit error

        member _.Difficulty = active.Difficulty
        member _.Work = if made then stiff.Stepper.Work else ImplicitWork.Zero
        member _.Choices = choices.ToArray()

        member _.Dispose() =
            if not alone then
                explicit.Dispose()

            if made then
                stiff.Stepper.Dispose()
