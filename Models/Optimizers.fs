// The rules that turn gradients into steps: libtorch's optimisers by name, learning rates as functions of the iteration, gradient norms.
namespace Continuum

open System
open System.IO
open TorchSharp

/// The rule that turns gradients into steps, by libtorch's names.
type OptimizerKind =
    /// Adam: Kingma and Ba 2015.
    | Adam = 0
    /// Adam with decoupled weight decay: Loshchilov and Hutter 2019.
    | AdamW = 1
    /// RMSprop: Hinton 2012.
    | RmsProp = 2
    /// Gradient descent with momentum 0.9.
    | Sgd = 3

/// How the learning rate changes over a phase.
type LearningRateSchedule =
    /// It stays.
    | Constant = 0
    /// Half a cosine down to a hundredth.
    | Cosine = 1
    /// By equal factors down to a hundredth.
    | Exponential = 2
    /// Half a cosine up from a twenty-fifth over the first 30 %, half a cosine down to 4e-6 over the rest: Smith and Topin 2019.
    | OneCycle = 3

/// Optimisers, learning rates and gradient norms.
[<RequireQualifiedAccess>]
module internal Optimizers =
    /// Adadelta (Zeiler 2012) with decay 0.9; its rate is a factor on steps that have the right scale by themselves, so 1 is usual.
    let adadelta: OptimizerKind = enum 4

    /// The optimiser of this kind over these parameters. Throws ArgumentOutOfRangeException for a kind that is none.
    let create (kind: OptimizerKind) (rate: float) (decay: float) (parameters: Modules.Parameter[]) =
        let parameters: seq<Modules.Parameter> = parameters

        match kind with
        | OptimizerKind.Adam ->
            torch.optim.Adam(parameters, rate, beta2 = 0.99, weight_decay = decay) :> Modules.OptimizerHelper
        | OptimizerKind.AdamW -> torch.optim.AdamW(parameters, rate, beta2 = 0.99, weight_decay = decay)
        | OptimizerKind.RmsProp -> torch.optim.RMSProp(parameters, rate, weight_decay = decay)
        | OptimizerKind.Sgd -> torch.optim.SGD(parameters, rate, momentum = 0.9, weight_decay = decay)
        | kind when kind = adadelta -> torch.optim.Adadelta(parameters, rate, weight_decay = decay)
        | other -> raise (ArgumentOutOfRangeException(nameof kind, other, "not an optimiser"))

    /// The factor on the learning rate at an iteration out of so many, at most 1.
    let rateFactor (schedule: LearningRateSchedule) (iteration: int) (iterations: int) : float =
        let progress = min 1.0 (float iteration / float (max 1 iterations))

        match schedule with
        | LearningRateSchedule.Cosine -> 0.01 + 0.99 * 0.5 * (1.0 + cos (Math.PI * progress))
        | LearningRateSchedule.Exponential -> Math.Pow(0.01, progress)
        | LearningRateSchedule.OneCycle ->
            let between from upto part = upto + (from - upto) * 0.5 * (1.0 + cos (Math.PI * part))

            if progress < 0.3 then
                between 0.04 1.0 (progress / 0.3)
            else
                between 1.0 4e-6 ((progress - 0.3) / 0.7)
        | _ -> 1.0

    /// Sets the learning rate of every group.
    let setRate (optimizer: Modules.OptimizerHelper) (rate: float) =
        for group in optimizer.ParamGroups do
            group.LearningRate <- rate

    /// The moments and counts of an optimiser as bytes.
    let state (optimizer: Modules.OptimizerHelper) : byte[] =
        use stream = new MemoryStream()
        use writer = new BinaryWriter(stream)
        optimizer.save_state_dict writer
        writer.Flush()
        stream.ToArray()

    /// Puts them back.
    let restore (optimizer: Modules.OptimizerHelper) (bytes: byte[]) =
        use scope = torch.NewDisposeScope()
        use stream = new MemoryStream(bytes)
        use reader = new BinaryReader(stream)
        optimizer.load_state_dict reader
        // SGD and RMSprop leave what they read in the scope, whose end would delete it.
        scope.Detach(Seq.toArray scope.DisposablesView)

    /// Frees the gradients of these parameters.
    let clearGradients (parameters: Modules.Parameter[]) =
        for parameter in parameters do
            let gradient = parameter.grad

            if not (isNull gradient) then
                parameter.grad <- null
                gradient.Dispose()

    /// Shortens the gradients together to the norm `limit` (infinity: leaves them) and returns the norm that they had; it is not
    /// finite where a gradient is not, and the gradients are then left alone.
    let clip (parameters: Modules.Parameter[]) (limit: float) : float =
        use _ = torch.NewDisposeScope()
        use _ = torch.no_grad ()
        let gradients = parameters |> Array.map _.grad |> Array.filter (fun g -> not (isNull g))

        if gradients.Length = 0 then
            0.0
        else
            let norm = (torch.stack (gradients |> Array.map _.norm())).norm().ToDouble()

            if Double.IsFinite norm && norm > limit then
                use factor = (limit / norm).ToScalar()

                for gradient in gradients do
                    gradient.mul_ factor |> ignore

            norm
