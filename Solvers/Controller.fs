// Step size feedback: the named controllers, as exponents on the scaled errors of the last three accepted steps.
namespace Continuum

open System

/// Named step controllers. k is the ErrorOrder of the method (order of the lower formula of the pair plus one).
/// Sources: Hairer, Norsett and Wanner I, II.4; Soederlind 2003, Digital filters in adaptive time-stepping.
[<RequireQualifiedAccess>]
module Controller =
    let private feedback b1 b2 b3 = {
        Beta1 = b1
        Beta2 = b2
        Beta3 = b3
        Safety = 0.9
        MinFactor = 0.2
        MaxFactor = 10.0
    }

    /// Elementary control: factor = 0.9 e^(-1/k), in [0.2, 10].
    let integral (k: int) = feedback (1.0 / float k) 0.0 0.0

    /// PI control with the usual constants 7/(10k) and 2/(5k); a lower step-to-step variation than integral.
    let pi (k: int) = feedback (0.7 / float k) (-0.4 / float k) 0.0

    /// PI control of DOPRI5: exponents 0.17 and 0.04.
    let piDopri5 = feedback 0.17 -0.04 0.0

    /// Control of DOP853: exponent 1/8, factors in [1/3, 6].
    let dop853 = { feedback 0.125 0.0 0.0 with MinFactor = 1.0 / 3.0; MaxFactor = 6.0 }

    /// PID control from proportional, integral and derivative gains: exponents (p+i+d)/k, -(p+2d)/k, d/k.
    /// Easy problems (0.4, 1, 0); moderately stiff ones (0.3, 0.3, 0) or (0.2, 0.4, 0).
    /// ArgumentException unless the gains are finite and p + i + d > 0.
    let pid (p: float) (i: float) (d: float) (k: int) =
        if not (Double.IsFinite(p + i + d)) || p + i + d <= 0.0 then
            raise (
                ArgumentException(
                    $"PID gains must be finite with a positive sum; got ({p}, {i}, {d}). A common choice is (0.4, 1, 0)."
                )
            )

        feedback ((p + i + d) / float k) (-(p + 2.0 * d) / float k) (d / float k)

/// The memory of a controller: the scaled errors of accepted steps.
[<Sealed>]
type internal ControllerState(feedback: Feedback) =
    // Errors below this count as this, so that one exact step does not blow up the next (HNW's 1e-4).
    let floor = 1e-4
    let mutable previous = 1.0
    let mutable older = 1.0
    let mutable justRejected = false

    /// Factor for the next step after an accepted one.
    member _.Accept(error: float) =
        let e = Math.Max(error, 1e-10)
        let mutable factor = feedback.Safety * Math.Pow(e, -feedback.Beta1)

        if feedback.Beta2 <> 0.0 then
            factor <- factor * Math.Pow(previous, -feedback.Beta2)

        if feedback.Beta3 <> 0.0 then
            factor <- factor * Math.Pow(older, -feedback.Beta3)

        older <- previous
        previous <- Math.Max(error, floor)
        let most = if justRejected then 1.0 else feedback.MaxFactor
        justRejected <- false
        Math.Clamp(factor, feedback.MinFactor, most)

    /// Factor for another attempt after a rejected one.
    member _.Reject(error: float) =
        justRejected <- true

        if Double.IsFinite error then
            Math.Clamp(feedback.Safety * Math.Pow(error, -feedback.Beta1), feedback.MinFactor, feedback.Safety)
        else
            feedback.MinFactor
