using System.Collections.Generic;
using System.CommandLine;
using System.Linq;

namespace Continuum.Cli;

/// <summary>`continuum fit`: the options and their meaning.</summary>
internal static class FitCommand
{
    private const string Epilogue = """
        Rules:
          The last 30 % of the rows are held out (rounded to whole rows) unless --split says otherwise: the model is fitted to the
          others, forecasts the held-out ones and is compared with them.
          --split 1914 fits the rows up to that time; --split 70% fits that share of the rows; --split 100% holds out nothing and
          forecasts as many steps beyond the end as 30 % of the rows are.
          The folder out/<name of the CSV file> in the current folder takes the results unless --out names another. Files of an
          earlier fit in it are replaced, each whole, when the fit is done:
            model.safetensors   the fitted model, for continuum forecast
            forecast.csv        the forecast of the held-out times
            fit.png             data, fitted curve and forecast
          Meanwhile training.safetensors there holds the state of training. Ctrl+C ends a fit with exit code 130; the same command
          with --resume goes on from there, as it does after a crash, and starts at the beginning where there is no such file.

        Examples:
          continuum fit examples/data/lynx-hare.csv
          continuum fit examples/data/lynx-hare.csv --split 1910 --model mechanistic --out out/plain
          continuum fit data.csv --time day --columns prey,predator --prior lotka-volterra --iterations 500 --resume
        """;

    private static readonly Dictionary<string, ForecastModelKind> s_models = new()
    {
        ["hybrid"] = ForecastModelKind.Hybrid,
        ["neural-ode"] = ForecastModelKind.NeuralOde,
        ["mechanistic"] = ForecastModelKind.Mechanistic,
    };

    private static readonly Argument<string> s_csv = new("csv")
    {
        Description = "The time series: a CSV file with a header, a column of rising times and columns of numbers",
    };

    private static readonly Option<ForecastModelKind?> s_model = new("--model")
    {
        Description = "hybrid (a mechanism and a neural network that corrects it; the default), neural-ode or mechanistic",
        HelpName = "kind",
        CustomParser = result =>
            Arguments.Read<ForecastModelKind?>(
                result,
                text => s_models.TryGetValue(text, out ForecastModelKind kind) ? kind : null,
                string.Join(" or ", s_models.Keys)
            ),
    };

    private static readonly Option<string?> s_prior = Arguments.Text(
        "--prior",
        "The mechanism: lotka-volterra (two columns, prey first), logistic, linear, exponential, or auto (the default), which chooses by the data",
        "name"
    );

    private static readonly Option<string[]?> s_columns = Arguments.Names("--columns", "The columns to model, in this order [default: all that hold numbers]");
    private static readonly Option<string?> s_time = Arguments.Text("--time", "The time column [default: time, t or year, else the first]", "name");
    private static readonly Option<bool> s_dropMissing = new("--drop-missing") { Description = "Leave out rows with missing values" };

    private static readonly Option<SplitRule?> s_split = new("--split")
    {
        Description = "The last time to fit, or the share of rows to fit [default: 70%]",
        HelpName = "time|share%",
        CustomParser = SplitRule.Parse,
    };

    private static readonly Option<string?> s_out = Arguments.Text("--out", "The folder for the results [default: out/<name of the CSV file>]", "folder");
    private static readonly Option<int?> s_iterations = Arguments.Integer("--iterations", "Training iterations [default: the model's]");
    private static readonly Option<double?> s_rate = Arguments.Number("--learning-rate", "The optimiser's step [default: the model's]", "x", positive: true);
    private static readonly Option<int[]?> s_hidden = Arguments.Integers("--hidden", "Widths of the network's hidden layers [default: 16,16]");
    private static readonly Option<int?> s_seed = Arguments.Integer("--seed", "Seed of all that is random; the same seed gives the same fit [default: 0]", least: 0);
    private static readonly Option<int?> s_threads = Arguments.Integer("--threads", "Threads of the computation [default: 1, the fastest for small models]");
    private static readonly Option<bool> s_resume = new("--resume") { Description = "Go on with a fit that was ended early" };
    private static readonly Option<bool> s_noPlot = new("--no-plot") { Description = "Write no fit.png" };
    private static readonly Option<bool> s_quiet = new("--quiet") { Description = "Print nothing but failures" };

    internal static Command Create()
    {
        Command command = new("fit", "Fits a model to the first part of a time series and forecasts the rest.")
        {
            s_csv, s_model, s_prior, s_columns, s_time, s_dropMissing, s_split, s_out, s_iterations, s_rate, s_hidden, s_seed, s_threads, s_resume, s_noPlot, s_quiet,
        };
        command.SetAction(parsed => FitRun.Run(Read(parsed)));
        Help.Extend(command, Epilogue);
        return command;
    }

    private static FitArguments Read(ParseResult parsed) =>
        new()
        {
            Csv = parsed.GetRequiredValue(s_csv),
            Model = parsed.GetValue(s_model) ?? ForecastModelKind.Hybrid,
            Prior = parsed.GetValue(s_prior),
            Columns = parsed.GetValue(s_columns) is { Length: > 0 } columns ? columns : null,
            TimeColumn = parsed.GetValue(s_time),
            DropMissing = parsed.GetValue(s_dropMissing),
            Split = parsed.GetValue(s_split) ?? SplitRule.Default,
            Out = parsed.GetValue(s_out),
            Iterations = parsed.GetValue(s_iterations),
            LearningRate = parsed.GetValue(s_rate),
            Hidden = parsed.GetValue(s_hidden) is { Length: > 0 } hidden ? hidden : null,
            Seed = parsed.GetValue(s_seed) ?? 0,
            Threads = parsed.GetValue(s_threads) ?? 1,
            Resume = parsed.GetValue(s_resume),
            Plot = !parsed.GetValue(s_noPlot),
            Quiet = parsed.GetValue(s_quiet),
        };

    internal static string Name(ForecastModelKind kind) => s_models.First(pair => pair.Value == kind).Key;
}
