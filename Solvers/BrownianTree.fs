// Walks the dyadic tree of a path: which pieces make up an interval, and which splits lead to them. What a piece is made of, host memory
// or tensors, it does not know.
namespace Continuum

open System

/// What a split does about the area of its parts (level Area).
type internal AreaRole =
    /// Nothing: these parts are larger than a leaf, their areas are sums over leaves.
    | None = 0
    /// The parts are leaves: each draws its own.
    | Draw = 1
    /// The area of the whole is divided.
    | Divide = 2

/// Where a node is: cell and heap index (the cell 1, the halves of n: 2n and 2n + 1).
[<Struct>]
type internal NodePlace = { Cell: int; Heap: uint32 }

/// Arithmetic on pieces of a path. 'P is storage that is written in place.
type internal IBrownianAlgebra<'P> =
    /// Fresh storage.
    abstract Create: unit -> 'P
    /// The whole of a cell; with its area where `area` says so.
    abstract Cell: cell: int * area: bool * into: 'P -> unit
    /// Cuts a piece in two.
    abstract Split: bridge: Bridge * role: AreaRole * place: NodePlace * whole: 'P * first: 'P * second: 'P -> unit
    /// into <- into followed by piece, of these lengths (Chen).
    abstract Append: length1: float * length2: float * into: 'P * piece: 'P -> unit
    /// into <- what follows `first` in `whole`, of these lengths (Chen).
    abstract Remove: length1: float * length2: float * whole: 'P * first: 'P * into: 'P -> unit
    abstract Copy: source: 'P * into: 'P -> unit
    /// A piece of length 0.
    abstract Clear: into: 'P -> unit

/// One path (or batch) over any interval. Keeps the splits on the way to the last leaf, so that marching through a path draws each
/// node once; that changes no value. For one thread.
[<Sealed>]
type internal BrownianTree<'P when 'P: not struct>
    (spec: BrownianSpec, grid: BrownianGrid, algebra: IBrownianAlgebra<'P>) =
    let depth = grid.Depth
    let hasArea = spec.Level = LevyLevel.Area
    // Pieces above this have no area of their own.
    let top = if hasArea then grid.AreaDepth else 0
    let firsts: 'P[] = Array.zeroCreate (depth + 1)
    let seconds: 'P[] = Array.zeroCreate (depth + 1)
    let parents: uint32[] = Array.zeroCreate (depth + 1)
    let bridges: Bridge[] = Array.zeroCreate (depth + 1)
    let mutable cached = -1
    let root = algebra.Create()
    let whole = algebra.Create()
    let sum = algebra.Create()
    let mutable length = 0.0
    // The last cut inside of a leaf.
    let cutFirst = algebra.Create()
    let cutSecond = algebra.Create()
    let mutable cutAt: GridPlace = { Cell = -1; Leaf = 0L; Fraction = 0.0 }
    let earlier = algebra.Create()
    let between = algebra.Create()

    // The first piece is copied too: what it lies in is written again on the way to the next.
    let append (pieceLength: float) (piece: 'P) =
        if length = 0.0 then
            algebra.Copy(piece, sum)
        else
            algebra.Append(length, pieceLength, sum, piece)

        length <- length + pieceLength

    let roleAt (parentDepth: int) =
        if not hasArea || parentDepth + 1 < top then AreaRole.None
        elif parentDepth + 1 = top then AreaRole.Draw
        else AreaRole.Divide

    let enter (cell: int) =
        if cell <> cached then
            algebra.Cell(cell, hasArea && top = 0, root)
            Array.Clear parents
            cached <- cell

    let node (nodeDepth: int) (heap: uint32) : 'P =
        if nodeDepth = 0 then
            root
        else
            // Down from the deepest split that is still there: its heap index says what is above it.
            let mutable d = nodeDepth

            while d > 0 && parents[d] <> (heap >>> (nodeDepth - d + 1)) do
                d <- d - 1

            while d < nodeDepth do
                d <- d + 1
                let parent = heap >>> (nodeDepth - d + 1)

                if isNull (box firsts[d]) then
                    firsts[d] <- algebra.Create()
                    seconds[d] <- algebra.Create()
                    bridges[d] <- BrownianBridge.halves spec.Level (grid.Width * Math.ScaleB(1.0, 1 - d))

                let above =
                    if d = 1 then root
                    elif parent &&& 1u = 0u then firsts[d - 1]
                    else seconds[d - 1]

                algebra.Split(
                    bridges[d],
                    roleAt (d - 1),
                    { Cell = cached; Heap = parent },
                    above,
                    firsts[d],
                    seconds[d]
                )

                parents[d] <- parent

            if heap &&& 1u = 0u then firsts[nodeDepth] else seconds[nodeDepth]

    let leafWidth = grid.Width / float grid.Leaves

    /// Cuts a leaf; the parts are then in cutFirst and cutSecond.
    let cut (place: GridPlace) =
        if place.Cell <> cutAt.Cell || place.Leaf <> cutAt.Leaf || place.Fraction <> cutAt.Fraction then
            let heap = uint32 (grid.Leaves + place.Leaf)
            let leaf = node depth heap

            let bridge =
                BrownianBridge.at spec.Level (leafWidth * place.Fraction) (leafWidth * (1.0 - place.Fraction))

            let role = if hasArea then AreaRole.Divide else AreaRole.None
            algebra.Split(bridge, role, { Cell = cached; Heap = heap }, leaf, cutFirst, cutSecond)
            cutAt <- place

    /// Leaves first .. last - 1 of the cell, in the largest nodes that tile them.
    let tile (first: int64) (last: int64) =
        let largest = depth - top
        let mutable at = first

        while at < last do
            let mutable power =
                if at = 0L then
                    largest
                else
                    Math.Min(largest, Numerics.BitOperations.TrailingZeroCount at)

            while at + (1L <<< power) > last do
                power <- power - 1

            let nodeDepth = depth - power
            let heap = uint32 ((1L <<< nodeDepth) + (at >>> power))
            append (leafWidth * float (1L <<< power)) (node nodeDepth heap)
            at <- at + (1L <<< power)

    let inLeaf (a: GridPlace) (b: GridPlace) =
        cut a
        algebra.Copy(cutFirst, earlier)
        cut b
        let length1 = leafWidth * a.Fraction
        let length2 = leafWidth * (b.Fraction - a.Fraction)
        algebra.Remove(length1, length2, cutFirst, earlier, between)
        append length2 between

    /// From a to b, which is in the same cell or the start of the next.
    let within (a: GridPlace) (b: GridPlace) =
        let lastLeaf = if b.Cell > a.Cell then grid.Leaves else b.Leaf

        if a.Leaf = 0L && a.Fraction = 0.0 && lastLeaf = grid.Leaves && not (hasArea && top > 0) then
            if a.Cell = cached then
                append grid.Width root
            else
                algebra.Cell(a.Cell, hasArea, whole)
                append grid.Width whole
        else
            enter a.Cell

            if a.Fraction > 0.0 && a.Leaf = lastLeaf then
                inLeaf a b
            else
                let mutable from = a.Leaf

                if a.Fraction > 0.0 then
                    cut a
                    append (leafWidth * (1.0 - a.Fraction)) cutSecond
                    from <- from + 1L

                tile from lastLeaf

                if b.Cell = a.Cell && b.Fraction > 0.0 then
                    cut b
                    append (leafWidth * b.Fraction) cutFirst

    /// Forgets what it has seen, since the algebra now makes other paths.
    member _.Restart() =
        cached <- -1
        cutAt <- { Cell = -1; Leaf = 0L; Fraction = 0.0 }

    /// The path over [s, t], s <= t; to be read before the next query.
    member _.Query(s: float, t: float) : 'P =
        let b = grid.Place t
        let mutable a = grid.Place s
        length <- 0.0

        if
            a.Cell + 1 = b.Cell
            && a.Leaf + b.Leaf = 0L
            && a.Fraction + b.Fraction = 0.0
            && not (hasArea && top > 0)
        then
            algebra.Cell(a.Cell, hasArea, whole)
            whole
        else
            while a.Cell < b.Cell do
                let next = { Cell = a.Cell + 1; Leaf = 0L; Fraction = 0.0 }
                within a next
                a <- next

            if a <> b then
                within a b

            if length = 0.0 then
                algebra.Clear sum

            sum
