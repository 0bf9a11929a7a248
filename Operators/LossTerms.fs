// Losses of several named terms.
namespace Continuum

open System
open TorchSharp

/// What a term of a loss sees: the inputs of an operator, what it made of them, and what it should have made.
type OperatorPrediction = {
    /// The inputs.
    Inputs: Field[]
    /// The model's output.
    Prediction: Field
    /// The right output; None where only equations are known.
    Truth: Field option
    /// Where the fields count: one channel at the points of the prediction; None for everywhere.
    Mask: Field option
    /// The numbers of the samples among those that sample weights are given for; empty where these are all, in order.
    Samples: int[]
    /// How many samples these are numbers of; 0 where Samples is empty.
    Population: int
}

/// One term: any function of the prediction to a tensor without axes.
type LossTerm = {
    /// Its name, for reports.
    Name: string
    /// Its constant weight.
    Weight: float
    /// Its value, a tensor without axes.
    Evaluate: OperatorPrediction -> Tensor
}

/// Terms of losses, and their sum. A term uses the mask of its options, or else that of the prediction.
[<RequireQualifiedAccess>]
module LossTerms =

    let private bad (text: string) = raise (ArgumentException text)

    let private masked (options: LossOptions) (p: OperatorPrediction) =
        if options.Mask.IsSome then options else { options with Mask = p.Mask }

    /// A term with the options of this batch. Weights of samples: the batch has those of its own samples, scaled so that the mean over all batches is the weighted
    /// mean over all samples.
    let private withOptions
        (name: string)
        (options: LossOptions)
        (p: OperatorPrediction)
        (term: LossOptions -> Tensor)
        =
        let options = masked options p

        match options.SampleWeights with
        | Some all when p.Samples.Length > 0 ->
            if all.Length <> p.Population then
                bad
                    $"The term '{name}' has {all.Length} sample weights, and there are {p.Population} samples; give a weight for each training sample."

            let own = p.Samples |> Array.map (fun i -> all[i])
            let total = Array.average all

            if not (total > 0.0 && Double.IsFinite total) || all |> Array.exists (fun w -> not (w >= 0.0)) then
                bad $"Sample weights of the term '{name}' must be finite and not negative, and some positive."

            if Array.forall ((=) 0.0) own then
                (term { options with SampleWeights = None }).mul 0.0
            else
                (term { options with SampleWeights = Some own }).mul(Array.average own / total)
        | _ -> term options

    let private truth (name: string) (p: OperatorPrediction) =
        match p.Truth with
        | Some truth -> truth
        | None ->
            bad
                $"The term '{name}' compares with the truth, and the prediction has none; give it, or leave the term out."

    /// A term of any function.
    let ofFunction (name: string) (weight: float) (evaluate: OperatorPrediction -> Tensor) : LossTerm =
        ArgumentException.ThrowIfNullOrWhiteSpace(name, nameof name)

        if not (Double.IsFinite weight && weight >= 0.0) then
            bad $"The weight of the term '{name}' is {weight}; weights must be finite and not negative."

        { Name = name; Weight = weight; Evaluate = evaluate }

    /// The distance from the truth in a norm. ArgumentException for an order of Sobolev's norm that is not finite.
    let distance (name: string) (weight: float) (norm: FieldNorm) (options: LossOptions) : LossTerm =
        match norm with
        | Sobolev s when not (Double.IsFinite s) -> bad $"The order of a Sobolev norm must be finite; got {s}."
        | _ -> ()

        ofFunction name weight (fun p ->
            let truth = truth name p
            withOptions name options p (fun o -> OperatorLosses.distance norm o p.Prediction truth))

    /// The mean distance from the truth by bands of modes.
    let bands (name: string) (weight: float) (edges: float[]) (options: LossOptions) : LossTerm =
        OperatorLosses.checkEdges edges

        ofFunction name weight (fun p ->
            let truth = truth name p
            withOptions name options p (fun o -> OperatorLosses.bandDistance edges o p.Prediction truth))

    /// The root mean square of the prediction's divergence.
    let divergence (name: string) (weight: float) (options: LossOptions) : LossTerm =
        ofFunction name weight (fun p -> withOptions name options p (fun o -> OperatorLosses.divergence o p.Prediction))

    /// The root mean square of the residual of an equation, any function of the inputs and the prediction to a field.
    let residual
        (name: string)
        (weight: float)
        (options: LossOptions)
        (equation: Field[] -> Field -> Field)
        : LossTerm =
        ofFunction name weight (fun p ->
            withOptions name options p (fun o -> OperatorLosses.size o (equation p.Inputs p.Prediction)))

    /// The distance at the ends of axes from zero, or from the truth.
    let boundary (name: string) (weight: float) (axes: int[]) (ofTruth: bool) (options: LossOptions) : LossTerm =
        ofFunction name weight (fun p ->
            let given = if ofTruth then Some(truth name p) else None
            withOptions name options p (fun o -> FaceLosses.boundary axes o p.Prediction given))

    /// The distance at the start of an axis of time from initial values, a function of the inputs to a field.
    let initial
        (name: string)
        (weight: float)
        (axis: int)
        (options: LossOptions)
        (values: Field[] -> Field)
        : LossTerm =
        ofFunction name weight (fun p ->
            withOptions name options p (fun o -> FaceLosses.initial axis o p.Prediction (values p.Inputs)))

    let private check (terms: LossTerm[]) =
        ArgumentNullException.ThrowIfNull(terms, nameof terms)

        if terms.Length = 0 then
            bad "A loss has at least one term."

        match terms |> Array.countBy _.Name |> Array.tryFind (fun (_, count) -> count > 1) with
        | Some(name, count) -> bad $"{count} terms are named '{name}'; give each its own name."
        | None -> ()

    /// The value of each term, in their order: tensors without axes, which the caller disposes of. ArgumentException for no terms, terms of
    /// the same name, and a term that gives a tensor with axes.
    let values (terms: LossTerm[]) (prediction: OperatorPrediction) : Tensor[] =
        check terms
        use _ = torch.NewDisposeScope()

        terms
        |> Array.map (fun term ->
            let value = term.Evaluate prediction

            if value.shape.Length > 0 then
                bad
                    $"The term '{term.Name}' gave a tensor of shape {Tensors.shapeText value}; terms give tensors without axes."

            value.MoveToOuterDisposeScope())

    /// The sum of weight x factor x value over the terms, with the balance's next factors.
    let internal weighted (balance: LossBalance) (terms: LossTerm[]) (values: Tensor[]) (numbers: float[]) : Tensor =
        let factors = balance.Next numbers

        Array.init terms.Length (fun i -> values[i].mul(terms[i].Weight * factors[i]))
        |> Array.reduce (fun a b -> a.add b)

    /// The sum of weight x factor x value over the terms, with the factors of the balance, and the values. The balance makes one step;
    /// no gradient flows through its factors. ArgumentException as `values`, for a balance of another number of terms and for values that
    /// it does not take.
    let total (balance: LossBalance) (terms: LossTerm[]) (prediction: OperatorPrediction) : struct (Tensor * float[]) =
        ArgumentNullException.ThrowIfNull(balance, nameof balance)
        use _ = torch.NewDisposeScope()
        let tensors = values terms prediction
        let numbers = tensors |> Array.map Tensors.toFloat
        let sum = weighted balance terms tensors numbers
        struct (sum.MoveToOuterDisposeScope(), numbers)
