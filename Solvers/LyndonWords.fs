// Words, Lyndon words and the basis of the free Lie algebra that they give.
//   Reutenauer 1993, Free Lie Algebras, chapters 4 and 5; Duval 1988 (generation); Reizenstein and Graham 2020, iisignature.
namespace Continuum

open System
open System.Collections.Generic
open System.Numerics
open TorchSharp

/// Words over the letters 1..d: order, names, counts.
[<RequireQualifiedAccess>]
module Words =

    /// The words of 1 to depth letters, by length and then in lexicographic order: the coordinates of a signature. Letters count from 0.
    let all (channels: int) (depth: int) : int[][] =
        TensorAlgebra.size channels depth |> ignore

        let longer (words: int[][]) = [|
            for w in words do
                for letter in 0 .. channels - 1 -> Array.append w [| letter |]
        |]

        Array.scan (fun words _ -> longer words) [| [||] |] (Array.zeroCreate<int> depth)
        |> Array.skip 1
        |> Array.concat

    /// A word for people: its letters, from 1, between commas.
    let name (word: int[]) : string = word |> Array.map (fun letter -> string (letter + 1)) |> String.concat ","

    /// The place of a word among the words of its length.
    let internal indexIn (channels: int) (word: int[]) : int =
        word |> Array.fold (fun index letter -> index * channels + letter) 0

    /// The place of a word among all words by length.
    let internal index (channels: int) (word: int[]) : int =
        let shorter = if word.Length = 1 then 0 else TensorAlgebra.size channels (word.Length - 1)
        shorter + indexIn channels word

    let private moebius (n: int) =
        let mutable rest = n
        let mutable sign = 1
        let mutable p = 2

        while rest > 1 do
            if rest % p = 0 then
                rest <- rest / p
                sign <- if rest % p = 0 then 0 else -sign

                while rest % p = 0 do
                    rest <- rest / p

            p <- p + 1

        sign

    /// The number of Lyndon words of one length, that is the dimension of that level of the free Lie algebra (Witt's formula):
    /// (1/k) sum over e | k of mu(e) d^(k/e).
    let witt (channels: int) (length: int) : int =
        if channels < 1 || length < 1 then
            raise (
                ArgumentOutOfRangeException(
                    nameof length,
                    $"Channels and length must be positive; got {channels} and {length}."
                )
            )

        let terms =
            seq {
                for e in 1..length do
                    if length % e = 0 then
                        BigInteger(moebius e) * BigInteger.Pow(BigInteger channels, length / e)
            }

        int (Seq.sum terms / BigInteger length)

    /// Duval's algorithm: all Lyndon words of at most `depth` letters in lexicographic order.
    let private lyndonLexicographic (channels: int) (depth: int) : List<int[]> =
        let found = List<int[]>()
        let mutable word = [| 0 |]

        while word.Length > 0 do
            found.Add word
            let current = word
            let repeated = Array.init depth (fun i -> current[i % current.Length])
            let mutable length = depth

            while length > 0 && repeated[length - 1] = channels - 1 do
                length <- length - 1

            word <- Array.sub repeated 0 length

            if length > 0 then
                word[length - 1] <- word[length - 1] + 1

        found

    /// The Lyndon words (smaller than all their proper suffixes) of 1 to depth letters, by length and then in lexicographic order.
    let lyndon (channels: int) (depth: int) : int[][] =
        TensorAlgebra.size channels depth |> ignore
        // A stable sort keeps the lexicographic order within a length.
        lyndonLexicographic channels depth |> Seq.sortBy _.Length |> Seq.toArray

/// The Lyndon basis of the free Lie algebra on d letters to depth N: one bracket for each Lyndon word. The word w of several letters
/// stands for [u, v], where w = u v and v is the longest proper suffix of w that is a Lyndon word. Coordinates of a log-signature are
/// by length, then by the lexicographic order of the words: for three channels 1, 2, 3, [1,2], [1,3], [2,3], [1,[1,2]], ...
[<Sealed; AllowNullLiteral>]
type LyndonBasis private (channels: int, depth: int, words: int[][], factors: struct (int * int)[]) =

    static let cache = Dictionary<struct (int * int), LyndonBasis>()

    // Brackets as sparse tensors: word to integer coefficient.
    let expansions =
        let found = Array.zeroCreate<Dictionary<int, int>>(words.Length)
        let powers = Array.init (depth + 1) (fun k -> pown channels k)

        for i in 0 .. words.Length - 1 do
            let sum = Dictionary<int, int>()

            let add key value =
                match sum.TryGetValue key with
                | true, old when old + value = 0 -> sum.Remove key |> ignore
                | true, old -> sum[key] <- old + value
                | _ -> sum[key] <- value

            match factors[i] with
            | struct (-1, _) -> add words[i].[0] 1
            | struct (u, v) ->
                for a in found[u] do
                    for b in found[v] do
                        add (a.Key * powers[words[v].Length] + b.Key) (a.Value * b.Value)
                        add (b.Key * powers[words[u].Length] + a.Key) (-a.Value * b.Value)

            found[i] <- sum

        found

    // From coordinates of Lyndon words in the expanded element to coordinates of brackets: the bracket of w is w plus larger words, so the
    // matrix is triangular with a unit diagonal. Entries off the diagonal of it and of its inverse: struct (row, column, value).
    let triangular, inverse =
        let place = Dictionary<struct (int * int), int>()
        words |> Array.iteri (fun i w -> place[struct (w.Length, Words.indexIn channels w)] <- i)
        let forward = List<struct (int * int * int)>()

        for column in 0 .. words.Length - 1 do
            for entry in expansions[column] do
                match place.TryGetValue(struct (words[column].Length, entry.Key)) with
                | true, row when row <> column -> forward.Add(struct (row, column, entry.Value))
                | _ -> ()

        let rows = Array.init words.Length (fun i -> Dictionary([ KeyValuePair(i, 1) ]))

        for group in forward |> Seq.groupBy (fun struct (row, _, _) -> row) |> Seq.sortBy fst do
            let row, entries = group

            for struct (_, column, value) in entries do
                for entry in rows[column] do
                    let old = rows[row].GetValueOrDefault entry.Key
                    rows[row][entry.Key] <- old - value * entry.Value

        let backward = [|
            for row in 0 .. words.Length - 1 do
                for entry in rows[row] do
                    if entry.Key <> row && entry.Value <> 0 then
                        struct (row, entry.Key, entry.Value)
        |]

        forward.ToArray(), backward

    let names =
        let found = Array.zeroCreate<string> words.Length

        for i in 0 .. words.Length - 1 do
            found[i] <-
                match factors[i] with
                | struct (-1, _) -> string (words[i].[0] + 1)
                | struct (u, v) -> $"[{found[u]},{found[v]}]"

        found

    let starts =
        Array.init (depth + 1) (fun k -> words |> Seq.takeWhile (fun w -> w.Length <= k) |> Seq.length)

    static let build (channels: int) (depth: int) =
        let words = Words.lyndon channels depth
        let place = Dictionary<string, int>()
        words |> Array.iteri (fun i w -> place[Words.name w] <- i)

        let factor (word: int[]) =
            if word.Length = 1 then
                struct (-1, -1)
            else
                let cut = seq { 1 .. word.Length - 1 } |> Seq.find (fun i -> place.ContainsKey(Words.name word[i..]))
                struct (place[Words.name word[.. cut - 1]], place[Words.name word[cut..]])

        LyndonBasis(channels, depth, words, Array.map factor words)

    let indices (values: int[]) (device: torch.Device) : Tensor =
        use raw = torch.tensor (Array.map int64 values, dtype = Nullable torch.int64)
        use aligned = raw.clone ()
        aligned.``to``(device).alias()

    let numbers (values: int[]) (like: Tensor) : Tensor =
        Tensors.ofArray (Array.map float values) [| values.LongLength |] like.dtype like.device

    /// result[..., row] += value * source[..., column].
    let addEntries (entries: struct (int * int * int)[]) (source: Tensor) (result: Tensor) : Tensor =
        if entries.Length = 0 then
            result
        else
            let rows = entries |> Array.map (fun struct (row, _, _) -> row)
            let columns = entries |> Array.map (fun struct (_, column, _) -> column)
            let values = entries |> Array.map (fun struct (_, _, value) -> value)
            let picked = source.index_select (-1L, indices columns source.device)
            result.index_add (-1L, indices rows source.device, picked.mul (numbers values source), 1.0)

    let checkLast (name: string) (what: string) (expected: int) (x: Tensor) =
        if isNull x then
            raise (ArgumentNullException name)

        if x.dim () < 1L || x.shape[x.shape.Length - 1] <> int64 expected then
            raise (
                ArgumentException(
                    $"{what} of {channels} channels to depth {depth} has {expected} coordinates in the last dimension; the shape is {Tensors.shapeText x}.",
                    name
                )
            )

    /// The basis of d channels to depth N, made once. ArgumentOutOfRangeException as TensorAlgebra.size.
    static member Create(channels: int, depth: int) : LyndonBasis =
        TensorAlgebra.size channels depth |> ignore

        lock cache (fun () ->
            match cache.TryGetValue(struct (channels, depth)) with
            | true, known -> known
            | _ ->
                let basis = build channels depth
                cache[struct (channels, depth)] <- basis
                basis)

    /// Number of letters.
    member _.Channels = channels
    /// Longest word.
    member _.Depth = depth
    /// Number of coordinates: the sum of Words.witt over the levels.
    member _.Size = words.Length
    /// The Lyndon words in order, letters from 0.
    member _.Words = words
    /// For each word the places (u, v) of its factors, or (-1, -1) for a letter.
    member _.Factors = factors
    /// The brackets for people, letters from 1: "1", "[1,2]", "[1,[1,2]]".
    member _.Names = names
    /// Number of coordinates of words of at most k letters.
    member _.SizeTo(k: int) = starts[k]

    /// A bracket as a sum of words of its length: pairs of the word's place among them and its coefficient.
    member internal _.Expansion(i: int) : seq<struct (int * int)> =
        expansions[i] |> Seq.map (fun entry -> struct (entry.Key, entry.Value))

    /// From coordinates of brackets (..., Size) to those of all words (..., TensorAlgebra.size): the Lie element as a tensor.
    member _.Expand(brackets: Tensor) : Tensor =
        checkLast (nameof brackets) "A log-signature" words.Length brackets
        use _ = torch.NewDisposeScope()
        let total = TensorAlgebra.size channels depth

        let entries = [|
            for i in 0 .. words.Length - 1 do
                let offset =
                    if words[i].Length = 1 then
                        0
                    else
                        TensorAlgebra.size channels (words[i].Length - 1)

                for entry in expansions[i] do
                    struct (offset + entry.Key, i, entry.Value)
        |]

        let shape = Array.append brackets.shape[.. brackets.shape.Length - 2] [| int64 total |]
        let zero = torch.zeros (shape, dtype = brackets.dtype, device = brackets.device)
        (addEntries entries brackets zero).MoveToOuterDisposeScope()

    /// From a Lie element as a tensor (..., TensorAlgebra.size) to its coordinates at Lyndon words, (..., Size): the "words"
    /// coordinates, which determine it.
    member _.WordsOf(tensor: Tensor) : Tensor =
        checkLast (nameof tensor) "An expanded log-signature" (TensorAlgebra.size channels depth) tensor
        use _ = torch.NewDisposeScope()
        let picks = indices (words |> Array.map (Words.index channels)) tensor.device
        tensor.index_select(-1L, picks).MoveToOuterDisposeScope()

    /// From coordinates at Lyndon words to coordinates of brackets: a triangular map, the identity to depth 2.
    member _.BracketsOfWords(coordinates: Tensor) : Tensor =
        checkLast (nameof coordinates) "A log-signature" words.Length coordinates
        use _ = torch.NewDisposeScope()
        (addEntries inverse coordinates (coordinates.alias ())).MoveToOuterDisposeScope()

    /// The inverse of BracketsOfWords.
    member _.WordsOfBrackets(brackets: Tensor) : Tensor =
        checkLast (nameof brackets) "A log-signature" words.Length brackets
        use _ = torch.NewDisposeScope()
        (addEntries triangular brackets (brackets.alias ())).MoveToOuterDisposeScope()

    /// From a Lie element as a tensor to coordinates of brackets: the inverse of Expand.
    member this.Project(tensor: Tensor) : Tensor =
        use _ = torch.NewDisposeScope()
        this.BracketsOfWords(this.WordsOf tensor).MoveToOuterDisposeScope()
