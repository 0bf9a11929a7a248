// What every generator of data needs: seeds, batches, progress, cancellation, a note of where the data came from.
namespace Continuum

open System
open System.Runtime.ExceptionServices
open System.Text.Json
open System.Threading
open System.Threading.Tasks
open TorchSharp

/// How many samples to make and how. Sample i depends on the seed and on i only: neither on how many are made nor on the batches.
type Generation = {
    /// Number of samples.
    Samples: int
    /// Number of the first sample.
    First: int
    /// Seed of all that is random.
    Seed: int
    /// Samples between two reports of progress; 0 for one for each processor.
    Batch: int
    /// dtype of the result, float32 or float64; the computation is in float64.
    DType: torch.ScalarType
    /// Called with the numbers of samples done and of all; may be null.
    Progress: Action<int, int>
    /// Ends the generation with OperationCanceledException.
    Cancellation: CancellationToken
} with

    /// `samples` samples from number 0 on with this seed, float64.
    static member Create(samples: int, seed: int) : Generation = {
        Samples = samples
        First = 0
        Seed = seed
        Batch = 0
        DType = torch.float64
        Progress = null
        Cancellation = CancellationToken.None
    }

/// The loop over batches, and random numbers by the number of the sample.
[<RequireQualifiedAccess>]
module internal Generations =

    let private bad (text: string) = raise (ArgumentException text)

    /// One key for each seed and purpose (SplitMix64's finaliser).
    let key (seed: int) (stream: int) : uint64 =
        let mutable z = (uint64 (uint32 seed) ||| (uint64 (uint32 stream) <<< 32)) + 0x9E3779B97F4A7C15UL
        z <- (z ^^^ (z >>> 30)) * 0xBF58476D1CE4E5B9UL
        z <- (z ^^^ (z >>> 27)) * 0x94D049BB133111EBUL
        z ^^^ (z >>> 31)

    /// Standard normals by number: `count` of them in row (r0, r1) of a sample.
    let normals (key: uint64) (sample: int) (r0: int) (r1: int) (values: Span<float>) =
        let address = { C1 = uint32 r0; C2 = uint32 r1; C3 = 0u; Stream = false }
        NormalDraws.fill key (PathNumbers.From(int64 sample, 1)) address 0 values.Length values

    /// body 0 .. body (count - 1) on all processors; the exception of one of them, not the collection of all.
    let inParallel (count: int) (token: CancellationToken) (body: int -> unit) =
        let options =
            ParallelOptions(MaxDegreeOfParallelism = Environment.ProcessorCount, CancellationToken = token)

        try
            Parallel.For(0, count, options, body) |> ignore
        with :? AggregateException as failed ->
            ExceptionDispatchInfo.Throw failed.InnerExceptions[0]

    let private check (g: Generation) =
        // Before anything of TorchSharp is touched: it would look for libtorch by itself, and not find it.
        NativeLibraries.ensure ()

        if g.Samples < 1 then
            bad $"{g.Samples} samples were asked for; ask for at least one."

        if g.First < 0 || int64 g.First + int64 g.Samples > int64 Int32.MaxValue then
            bad
                $"Samples {g.First} to {int64 g.First + int64 g.Samples - 1L} have numbers out of range; start at 0 or later."

        if g.Batch < 0 then
            bad $"The batch is {g.Batch}; give a positive size, or 0."

        if g.DType <> torch.float32 && g.DType <> torch.float64 then
            bad $"Data is float32 or float64; got {g.DType}."

    /// Calls make(first, count) for batch after batch and joins what it gives along dimension 0.
    let private run (g: Generation) (batch: int) (make: int -> int -> Tensor[]) : Tensor[] =
        check g
        use _ = torch.NewDisposeScope()
        use _ = torch.no_grad ()
        let size = min g.Samples (if g.Batch > 0 then g.Batch else max 1 batch)
        let parts = Collections.Generic.List<Tensor[]>()
        let mutable at = 0

        while at < g.Samples do
            g.Cancellation.ThrowIfCancellationRequested()
            let count = min size (g.Samples - at)
            use _ = torch.NewDisposeScope()
            let made = make (g.First + at) count

            parts.Add(made |> Array.map (fun x -> x.``to``(g.DType, copy = true).MoveToOuterDisposeScope()))

            at <- at + count

            if not (isNull g.Progress) then
                g.Progress.Invoke(at, g.Samples)

        let join i = torch.cat([| for part in parts -> part[i] |], 0L).MoveToOuterDisposeScope()
        Array.init parts[0].Length join

    /// What `make` gives, with one thread in each operation on this thread: sums and transforms round by the number of threads, and small ones
    /// lose more by sharing than they gain.
    let private singly (make: unit -> 'result) : 'result =
        let before = torch.get_num_threads ()
        torch.set_num_threads 1

        try
            make ()
        finally
            torch.set_num_threads before

    /// The tensors of a sample as shapes and numbers, none left behind.
    let private plain (make: int -> Tensor[]) (sample: int) : struct (int64[] * float[])[] =
        singly (fun () ->
            use _ = torch.NewDisposeScope()
            use _ = torch.no_grad ()
            make sample |> Array.map (fun x -> struct (x.shape, Tensors.toArray x)))

    /// The same, sample by sample, several of them at the same time: transforms of several functions at once may round otherwise than those
    /// of one, so that each sample is computed alone.
    let runEach (g: Generation) (make: int -> Tensor[]) : Tensor[] =
        let batch first count =
            let made = Array.zeroCreate count
            inParallel count g.Cancellation (fun i -> made[i] <- plain make (first + i))

            let join part =
                torch.cat (
                    made
                    |> Array.map (fun parts ->
                        let struct (shape, values) = parts[part]
                        Tensors.ofArray values shape torch.float64 torch.CPU),
                    0L
                )

            Array.init made[0].Length join

        run g Environment.ProcessorCount batch

    /// A field of one channel from values (samples, points of each axis).
    let scalarField (points: Discretisation) (values: Tensor) : Field =
        use own = values
        new Field(points, own.unsqueeze 1L)

    /// Equation and options as JSON.
    let source (equation: string) (options: (string * obj) list) (g: Generation) : string =
        let all = Collections.Generic.Dictionary<string, obj>()
        all.Add("equation", box equation)

        for name, value in options do
            all.Add(name, value)

        all.Add("seed", box g.Seed)
        all.Add("first", box g.First)
        JsonSerializer.Serialize all
