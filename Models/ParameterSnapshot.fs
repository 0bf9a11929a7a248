// Copies of parameters by name: the best so far, or the running mean of many.
namespace Continuum

open System
open TorchSharp

/// A copy of the values of parameters, kept beside them. Empty until something is put in. Dispose it.
[<Sealed>]
type internal ParameterSnapshot(prefix: string, parameters: (string * Modules.Parameter)[]) =
    let mutable copies: Tensor[] = [||]
    let mutable count = 0

    let fill (values: Tensor[]) =
        for copy in copies do
            copy.Dispose()

        copies <- values |> Array.map _.DetachFromDisposeScope()

    /// How many values the mean is made of; 0 when empty.
    member _.Count = count

    /// Replaces the copy by the present values.
    member _.Take() =
        use _ = torch.NewDisposeScope()
        use _ = torch.no_grad ()
        fill (parameters |> Array.map (fun (_, p) -> p.detach().clone()))
        count <- 1

    /// Takes the present values into the running mean.
    member this.Average() =
        if count = 0 then
            this.Take()
        else
            use _ = torch.NewDisposeScope()
            use _ = torch.no_grad ()
            count <- count + 1
            use weight = (1.0 / float count).ToScalar()

            for i in 0 .. parameters.Length - 1 do
                let _, parameter = parameters[i]
                copies[i].add_(parameter.sub copies[i], weight) |> ignore

    /// Puts the copied values into the parameters; nothing where it is empty.
    member _.Restore() =
        use _ = torch.NewDisposeScope()
        use _ = torch.no_grad ()

        for i in 0 .. copies.Length - 1 do
            let _, parameter = parameters[i]
            parameter.copy_ copies[i] |> ignore

    /// The copies as arrays named prefix + the parameter's name, and prefix + "count"; none where it is empty.
    member _.Store() : NamedArray[] = [|
        if count > 0 then
            NamedArray.FromInt64s(prefix + "count", [| 1L |], [| int64 count |])

        for i in 0 .. copies.Length - 1 do
            NamedArray.FromTensor(prefix + fst parameters[i], copies[i])
    |]

    /// Reads what Store wrote; values without a count are one copy. InvalidDataException where a part is missing.
    member _.Load(checkpoint: Checkpoint) =
        let mine =
            checkpoint.Tensors |> Array.filter (fun a -> a.Name.StartsWith(prefix, StringComparison.Ordinal))

        if mine.Length > 0 then
            use _ = torch.NewDisposeScope()
            fill (parameters |> Array.map (fun (name, _) -> checkpoint.Find(prefix + name).ToTensor()))

            count <-
                match mine |> Array.tryFind (fun a -> a.Name = prefix + "count") with
                | Some stored -> int (stored.ToInt64s()[0])
                | None -> 1

    /// Forgets the copy.
    member _.Clear() =
        fill [||]
        count <- 0

    interface IDisposable with
        member _.Dispose() = fill [||]
