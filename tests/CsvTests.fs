/// Series of numbers in CSV files.
module CsvTests

open System
open System.Collections.Generic
open System.IO
open System.IO.Compression
open System.Text
open Continuum
open Claims
open FileClaims
open Expecto
open FsCheck.FSharp
open TorchSharp

let private data name = Path.Combine(__SOURCE_DIRECTORY__, "..", "examples", "data", name)

let private options = TimeSeriesCsvOptions()

/// lynx-hare.csv with some lines changed (line 1 is the header, line 2 the year 1900); -> the error of reading it.
let private damaged (changes: (int * string) list) (options: TimeSeriesCsvOptions) =
    let lines = File.ReadAllLines(data "lynx-hare.csv")

    for line, text in changes do
        lines[line - 1] <- text

    let mutable error = null

    inFolder (fun folder ->
        let path = Path.Combine(folder, "lynx.csv")
        File.WriteAllLines(path, lines)
        error <- failureOf (fun () -> TimeSeries.ReadCsv(path, options))
        Expect.stringContains error.Message path "file"
        Expect.isFalse (error.Message.Contains '\n') "one line")

    error

let private csvError name changes options line (column: string) parts =
    testCase name (fun () ->
        match damaged changes options with
        | :? TimeSeriesFormatException as error ->
            Expect.equal error.Line line error.Message
            Expect.equal error.Column column error.Message
            Expect.stringContains error.Message $"line {line}" "line"

            for part in parts do
                Expect.stringContains error.Message part "message"
        | other -> failtest $"{other}")

let private readText (text: string) (options: TimeSeriesCsvOptions) =
    let mutable series = null

    inFolder (fun folder ->
        let path = Path.Combine(folder, "a.csv")
        File.WriteAllText(path, text)
        series <- TimeSeries.ReadCsv(path, options))

    series

let csvReading =
    testList "TimeSeries.ReadCsv" [
        testCase "real files are read with their own columns" (fun () ->
            let lynx = TimeSeries.ReadCsv(data "lynx-hare.csv")
            Expect.equal lynx.TimeName "year" "time"
            Expect.sequenceEqual lynx.ColumnNames [ "hare"; "lynx" ] "columns"
            Expect.equal lynx.Count 21 "rows"
            Expect.equal (lynx.Times[1], lynx.Values[1, 0], lynx.Values[1, 1]) (1901., 47.2, 6.1) "row"
            let stocks = TimeSeries.ReadCsv(data "eu-stock-markets.csv")
            Expect.equal (stocks.Count, stocks.ColumnNames.Count, stocks.Column("FTSE")[0]) (1860, 4, 2443.6) "stocks"
            Expect.equal (TimeSeries.ReadCsv(data "sunspots.csv").Count) 3177 "sunspots")
        testCase "columns may be chosen and ordered" (fun () ->
            let chosen = TimeSeriesCsvOptions(TimeColumn = "year", ValueColumns = [| "lynx" |])
            Expect.sequenceEqual (TimeSeries.ReadCsv(data "lynx-hare.csv", chosen).ColumnNames) [ "lynx" ] "columns")
        testCase "separators, quotes, marks, line ends, blank lines and columns of text are understood" (fun () ->
            for separator in [ ","; ";"; "\t" ] do
                let text =
                    "\uFEFF\n\"x,;\",Time,where\r\n1.5,0,\"here\"\r\n\r\n-2e-3, 1 ,there".Replace(",", separator)

                let series = readText (text.Replace($"x{separator};", "x,;")) options
                Expect.equal series.TimeName "Time" "time"
                Expect.sequenceEqual series.ColumnNames [ "x,;" ] "columns"
                Expect.equal (series.Column "x,;") [| 1.5; -0.002 |] "values")
        testCase "rows with missing values are dropped on request" (fun () ->
            let text = "t,x,y\n0,1,1\n1,NA,2\n2,,3\n3,4,5\n"
            let series = readText text (TimeSeriesCsvOptions(Missing = MissingValues.DropRow))
            Expect.sequenceEqual series.Times [ 0.; 3. ] "times"
            let all = readText text (TimeSeriesCsvOptions(ValueColumns = [| "y" |]))
            Expect.equal all.Count 4 "a column left out may miss values")
        testProperty "what is written is read back exactly"
        <| Prop.forAll (Arb.fromGen (Gen.zip (Gen.choose (2, 6)) (Gen.choose (1, 3)))) (fun (rows, columns) ->
            inFolder (fun folder ->
                let path = Path.Combine(folder, "a.csv")
                let times = [| for i in 0 .. rows - 1 -> float i / 3. + 1e-9 |]

                let values =
                    Array2D.init rows columns (fun i j ->
                        (if i % 2 = 0 then -1. else 1.) * Math.Pow(0.1, float (i * 40 + j)))

                let names = [| for j in 0 .. columns - 1 -> $"a,\"{j}" |]
                TimeSeries("t", names, times, values).WriteCsv path
                let back = TimeSeries.ReadCsv path
                Expect.sequenceEqual back.ColumnNames names "names"
                Expect.sequenceEqual back.Times times "times"
                Expect.equal back.Values values "values"))
        testCase "a missing file is named" (fun () ->
            failsWith<FileNotFoundException, _> [ "/no/such.csv" ] (fun () -> TimeSeries.ReadCsv "/no/such.csv"))
    ]

let csvErrors =
    let only text line parts name =
        testCase name (fun () ->
            failsWith<TimeSeriesFormatException, _> ($"line {line}" :: parts) (fun () -> readText text options))

    testList "TimeSeries.ReadCsv errors name file, line, column, defect and remedy" [
        csvError "text" [ 5, "1903,abc,15" ] options 5 "hare" [ "'abc'"; "correct" ]
        csvError "a decimal comma" [ 5, "1903,\"77,4\",15" ] options 5 "hare" [ "'77,4'"; "decimal point" ]
        csvError "an empty cell" [ 7, "1905,,41" ] options 7 "hare" [ "empty"; "DropRow" ]
        csvError "NA" [ 7, "1905,20,NA" ] options 7 "lynx" [ "'NA'" ]
        csvError "NaN" [ 7, "1905,20,nan" ] options 7 "lynx" [ "'nan'" ]
        csvError "infinity" [ 7, "1905,Infinity,1" ] options 7 "hare" [ "'Infinity'"; "finite" ]
        csvError "a number beyond binary64" [ 7, "1905,1e999,1" ] options 7 "hare" [ "'1e999'" ]
        csvError "a short row" [ 9, "1907,21.5" ] options 9 null [ "2 cells"; "3" ]
        csvError "a long row" [ 9, "1907,21.5,1,1" ] options 9 null [ "4 cells"; "3" ]
        csvError "a repeated time" [ 9, "1906,21.5,1" ] options 9 "year" [ "1906"; "line 8" ]
        csvError "an unsorted time" [ 9, "1890,21.5,1" ] options 9 "year" [ "1890"; "1906"; "line 8"; "sort" ]
        csvError "a missing time" [ 9, ",21.5,1" ] options 9 "year" [ "missing" ]
        csvError "a date" [ 9, "1907-01-01,21.5,1" ] options 9 "year" [ "'1907-01-01'"; "dates" ]
        csvError "a stray quote" [ 9, "1907,21\".5,1" ] options 9 null [ "quotation mark" ]
        csvError "an open quote" [ 9, "1907,\"21.5,1" ] options 9 null [ "quotation mark" ]
        csvError "the first of two defects" [ 5, "1903,abc,1"; 9, "1907" ] options 5 "hare" []
        csvError "the first of two defects, the other way" [ 5, "1903"; 9, "1907,abc,1" ] options 5 null []
        csvError "the line is counted past blank lines" [ 3, ""; 9, "1907,abc,1" ] options 9 "hare" []
        csvError "a repeated name" [ 1, "year,hare,hare" ] options 1 "hare" [ "rename" ]
        csvError "no name" [ 1, ",hare,lynx" ] options 1 null [ "column 1" ]
        csvError "no header" [ 1, "1899,1,2" ] options 1 null [ "header" ]
        csvError "an unknown time" [] (TimeSeriesCsvOptions(TimeColumn = "day")) 1 "day" [ "'hare', 'lynx'" ]
        csvError "an unknown column" [] (TimeSeriesCsvOptions(ValueColumns = [| "fox" |])) 1 "fox" [ "'year', 'hare'" ]
        csvError "the time as value" [] (TimeSeriesCsvOptions(ValueColumns = [| "year" |])) 1 "year" [ "once" ]
        csvError "the wrong separator" [] (TimeSeriesCsvOptions(Delimiter = Nullable ';')) 2 "year,hare,lynx" []
        only "" 1 [ "empty" ] "an empty file"
        only "\n\n" 1 [ "empty" ] "blank lines"
        only "t,x\n" 1 [ "no rows" ] "a header alone"
        only "t,x\n1,2\n" 2 [ "only row" ] "a single row"
        only "t\n1\n2\n" 1 [ "no column but the time" ] "no values"
        testCase "a panel of patients is no single series" (fun () ->
            failsWith<TimeSeriesFormatException, _> [ "line 3"; "'id'"; "repeats" ] (fun () ->
                TimeSeries.ReadCsv(data "pbcseq.csv")))
    ]

let series =
    testList "TimeSeries" [
        testCase "slices and splits hold the rows of their times" (fun () ->
            let lynx = TimeSeries.ReadCsv(data "lynx-hare.csv")
            let struct (train, test) = lynx.Split 1914.5
            Expect.equal (train.Count + test.Count) lynx.Count "all rows"
            Expect.equal (train.Times[train.Count - 1], test.Times[0]) (1914., 1915.) "border"
            Expect.equal test.Values[0, 1] (lynx.Column("lynx")[15]) "values"
            Expect.sequenceEqual (lynx.Slice(1903., 1905.).Times) [ 1903.; 1904.; 1905. ] "slice"
            failsWith<ArgumentException, _> [ "1900 to 1920" ] (fun () -> lynx.Slice(1903.2, 1903.4))
            failsWith<ArgumentOutOfRangeException, _> [ "1900 to 1920" ] (fun () -> lynx.Split 1920.)
            failsWith<ArgumentException, _> [ "'fox'"; "'hare'" ] (fun () -> lynx.Column "fox"))
        testCase "what is no series is refused" (fun () ->
            let make (times: float[]) names (values: float[,]) () = TimeSeries("t", names, times, values)
            failsWith<ArgumentException, _> [ "(1, 1)"; "2 times" ] (make [| 0.; 1. |] [| "x" |] (array2D [ [ 0. ] ]))
            failsWith<ArgumentException, _> [ "rise" ] (make [| 1.; 1. |] [| "x" |] (array2D [ [ 0. ]; [ 0. ] ]))
            failsWith<ArgumentException, _> [ "repeats" ] (make [| 0. |] [| "t" |] (array2D [ [ 0. ] ]))
            failsWith<ArgumentException, _> [ "finite" ] (make [| 0. |] [| "x" |] (array2D [ [ nan ] ])))
        testCase "a folder that is not there is named when writing" (fun () ->
            let lynx = TimeSeries.ReadCsv(data "lynx-hare.csv")
            failsWith<IOException, _> [ "/no/such/a.csv"; "does not exist" ] (fun () -> lynx.WriteCsv "/no/such/a.csv"))
    ]
