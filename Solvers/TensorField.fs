// Right-hand sides, events and clocks on tensors, and the two devices that carry gradients through times:
// a Runge-Kutta step of length zero whose length is tracked, and the implicit function theorem at events.
namespace Continuum

open System
open TorchSharp

/// y' = f(t, y) on tensors. t arrives with y's dtype and device: a scalar (0-d) when the whole state shares one time, and of shape
/// (batch, 1, ..., 1) when every sample has its own (BatchOde); in both cases it broadcasts against y.
[<Sealed; AllowNullLiteral>]
type TensorField
    private
    (
        eval: Func<Tensor, Tensor, Tensor>,
        parameters: Tensor[],
        autonomous: bool,
        jacobian: Func<Tensor, Tensor, Tensor>,
        joint: bool,
        mass: Tensor
    ) =
    do
        if isNull eval then
            raise (ArgumentNullException(nameof eval))

    let mutable trackingChecked = false
    let mutable independent: bool voption = ValueNone

    /// A field that reads these tensors with gradients of their own; an autonomous one does not look at t.
    new(eval: Func<Tensor, Tensor, Tensor>, parameters: seq<Tensor>, autonomous: bool) =
        TensorField(eval, Seq.toArray parameters, autonomous, null, false, null)

    /// A field that reads no tensor with a gradient of its own, and may use t.
    new(eval: Func<Tensor, Tensor, Tensor>) = TensorField(eval, Seq.empty, false)

    /// f.
    member _.Eval(t: Tensor, y: Tensor) = eval.Invoke(t, y)
    /// The tensors that f reads and whose gradients are wanted.
    member _.Parameters = parameters
    /// f does not look at t, so no time tensor is made for it.
    member _.Autonomous = autonomous
    /// df/dy from (t, y), or null: implicit methods then differentiate f.
    member _.Jacobian = jacobian
    /// Every component of the state may depend on every other, also across dimension 0.
    member _.IsJoint = joint

    /// The matrix M of M y' = f(t, y), or null for the identity.
    member _.Mass = mass

    /// The same field with its Jacobian given: from (t, y) to shape (batch, n, n) for a state of shape (batch, ...) with n values a
    /// sample, or (n, n) for the flattened state of a joint field. Only implicit methods call it. To differentiate a solve by a
    /// Rosenbrock method it must itself be differentiable in y and the parameters.
    member _.WithJacobian(jacobian: Func<Tensor, Tensor, Tensor>) =
        ArgumentNullException.ThrowIfNull jacobian
        TensorField(eval, parameters, autonomous, jacobian, joint, mass)

    /// The same field, declared to couple all components: implicit methods then take dimension 0 of a state of shape (batch, ...) for
    /// one more dimension of one system, and factor one matrix of the flattened state.
    member _.AsJoint() = TensorField(eval, parameters, autonomous, jacobian, true, mass)

    /// M y' = f(t, y) with a constant M of shape (n, n), or (batch, n, n) where samples differ; it may be singular (an index-1
    /// differential-algebraic system) if the initial state satisfies the algebraic equations. Rosenbrock methods only. Gradients flow
    /// to M with Recorded, and with Discrete where it is among the parameters.
    member _.WithMass(mass: Tensor) =
        ArgumentNullException.ThrowIfNull mass

        if mass.dim () < 2L || mass.shape[mass.shape.Length - 1] <> mass.shape[mass.shape.Length - 2] then
            raise (
                ArgumentException
                    $"A mass matrix has shape [n, n] or [batch, n, n]; this one has {Tensors.shapeText mass}."
            )

        TensorField(eval, parameters, autonomous, jacobian, joint, mass)

    member internal _.TrackingChecked
        with get () = trackingChecked
        and set value = trackingChecked <- value

    /// Whether samples were found not to depend on each other; ValueNone before anyone looked.
    member internal _.Independent
        with get () = independent
        and set value = independent <- value

/// Construction of fields.
[<RequireQualifiedAccess>]
module TensorField =
    /// A field from a curried function and the tensors it reads.
    let create (parameters: seq<Tensor>) (f: Tensor -> Tensor -> Tensor) =
        TensorField(Func<_, _, _>(fun t y -> f t y), parameters, false)

    /// A field that does not depend on time.
    let autonomous (parameters: seq<Tensor>) (f: Tensor -> Tensor) =
        TensorField(Func<_, _, _>(fun _ y -> f y), parameters, true)

    /// A network as an autonomous field; its parameters are the field's.
    let ofModule (network: torch.nn.Module<Tensor, Tensor>) =
        TensorField(Func<_, _, _>(fun _ y -> network.call y), Seq.cast<Tensor>(network.parameters ()), true)

    let internal time (field: TensorField) (t: float) (y: Tensor) : Tensor =
        if field.Autonomous then
            null
        else
            torch.tensor (t, dtype = y.dtype, device = y.device)

    let internal verify (y: Tensor) (dy: Tensor) =
        if isNull dy then
            raise (ArgumentException "The field returned null; it must return dy/dt with the shape of y.")

        if
            dy.numel () <> y.numel ()
            || dy.dim () <> y.dim ()
            || dy.dtype <> y.dtype
            || dy.device_type <> y.device_type
        then
            let show (x: Tensor) =
                let shape = x.shape |> Array.map string |> String.concat ", "
                $"[{shape}] {x.dtype} on {x.device}"

            raise (
                ArgumentException(
                    $"The field must return dy/dt with the shape, dtype and device of y: y is {show y}, the field returned {show dy}."
                )
            )

        dy

/// A zero of g(t, y) on tensors; differentiable in the state, the time and everything g and the jump read.
type TensorEvent = {
    /// Name for reports.
    Name: string
    /// g(t, y): one number (per sample under BatchOde: shape (batch)). t is as in TensorField.
    Condition: Tensor -> Tensor -> Tensor
    /// Which sign changes count.
    Crossing: Crossing
    /// The state after the event, from (t, y); ValueNone leaves the state.
    Apply: (Tensor -> Tensor -> Tensor) voption
    /// Stop (per sample: stop this sample) here.
    Terminal: bool
    /// Ignore further occurrences after this many.
    MaxOccurrences: int
}

/// TensorField under a scalar clock.
[<Struct>]
type internal ScalarClockField(field: TensorField) =
    interface IField<Tensor, float> with
        member _.Eval(t, y, _) =
            if torch.is_grad_enabled () then
                TensorField.verify y (field.Eval(TensorField.time field t y, y))
            else
                // What the field leaves behind is freed now, not at the end of the step: the next stage finds its memory still warm.
                use scope = torch.NewDisposeScope()
                let slope = TensorField.verify y (field.Eval(TensorField.time field t y, y))
                if scope.Contains slope then slope.MoveToOuterDisposeScope() else slope

/// TensorField under a clock that is itself a tensor.
[<Struct>]
type internal TensorClockField(field: TensorField) =
    interface IField<Tensor, Tensor> with
        member _.Eval(t, y, _) = TensorField.verify y (field.Eval((if field.Autonomous then null else t), y))

/// Tensors whose time and step are tensors: 0-d, or one for each sample. Everything is recorded where gradients are on. Null stands for
/// the zero state, for a unit length, and for slopes that are zero.
[<Struct>]
type internal TensorClock =
    interface IStateSpace<Tensor, Tensor> with
        member _.Allocate y = y

        member _.Combine(_, y, h, w, k, count) =
            let mutable sum: Tensor = null
            let recording = torch.is_grad_enabled ()

            for j in 0 .. count - 1 do
                if w[j] <> 0.0 && not (isNull k[j]) then
                    use scalar = w[j].ToScalar()

                    sum <-
                        if isNull sum then k[j].mul scalar
                        elif recording then sum.add (k[j], scalar)
                        else sum.add_ (k[j], scalar)

            let scaled = if isNull sum || isNull h then sum else h.mul sum

            if isNull scaled then (if isNull y then null else y.alias ())
            elif isNull y then scaled
            else y.add scaled

        member _.Advance(t, h, c) = if isNull t then null else t.add (h.mul c)

/// Gradients through times.
[<RequireQualifiedAccess>]
module internal TimeGradient =

    /// The flow over a tracked step of value zero: returns y with d/d(delta) = f(t, y), to fourth order in delta.
    /// delta is 0-d or (batch, 1, ...), of y's dtype.
    let shift (field: TensorField) (t: Tensor) (delta: Tensor) (y: Tensor) : Tensor =
        let kernel =
            RungeKuttaKernel<Tensor, Tensor, TensorClock, TensorClockField>(
                Methods.Rk4,
                TensorClock(),
                TensorClockField field,
                y
            )

        kernel.FirstSlope(t, y)
        kernel.Step(t, delta, y, y)

    /// A difference of value exactly zero that carries x's gradient, in y's dtype and on its device.
    let zeroDelta (x: Tensor) (y: Tensor) : Tensor = x.sub(x.detach ()).``to``(y.dtype, y.device)

    /// The event time and the state there, as differentiable functions of y, which the steps reached at the located time t:
    /// tau = t - (g(t, y) - its value) / (dg/dt along the flow). First derivatives are exact.
    /// t is 0-d or (batch, 1, ...); g's value has one entry for each. Returns tau shaped as t, and the state at tau.
    let throughEvent
        (field: TensorField)
        (condition: Tensor -> Tensor -> Tensor)
        (t: Tensor)
        (y: Tensor)
        : struct (Tensor * Tensor) =
        let time = t.detach().requires_grad_ true
        let state = y.detach().requires_grad_ true

        let rate =
            use _ = torch.enable_grad ()
            let g = condition time state
            let parts = Autograd.vjp [| g |] [| time; state |] [| torch.ones_like g |]
            use _ = torch.no_grad ()
            let slope = field.Eval((if field.Autonomous then null else t.detach ()), state.detach ())
            let along = parts[1].mul slope

            if t.dim () = 0L then
                let rate = parts[0].add(along.sum ()).detach()
                let number = rate.ToDouble()

                if number = 0.0 || not (Double.IsFinite number) then
                    raise (
                        ArithmeticException(
                            $"The event function has rate of change {number} along the solution at t = {t.ToDouble()}, so the event's time has no derivative (a grazing event, or a condition that is cut off from its inputs); use an event that crosses zero, or ask for no gradient."
                        )
                    )

                rate
            else
                // one rate per sample, over all dimensions but the first
                parts[0].add(along.reshape([| t.shape[0]; -1L |]).sum(1L).reshape t.shape).detach()

        let g = condition (t.detach ()) y
        let residual = (g.sub (g.detach ())).reshape(t.shape).``to``(y.dtype)
        let delta = residual.div(rate.``to`` y.dtype).neg()
        struct (t.detach().add delta, shift field (t.detach ()) delta y)

    /// An event applied at the located time t: its time tau, the states just before and after it (at tau), and the state from
    /// which the solve goes on at t itself. tau and t have one value but not one derivative: what follows the event is
    /// flowed back from tau to t along the new trajectory (the saltation matrix of a hybrid system).
    let applyEvent
        (field: TensorField)
        (event: TensorEvent)
        (t: Tensor)
        (y: Tensor)
        : struct (Tensor * Tensor * Tensor * Tensor) =
        let struct (tau, before) = throughEvent field event.Condition t y

        let after =
            match event.Apply with
            | ValueSome change -> change tau before
            | ValueNone -> before

        let resumed =
            if event.Terminal then
                after
            else
                shift field (t.detach ()) (t.detach().sub tau) after

        struct (tau, before, after, resumed)
