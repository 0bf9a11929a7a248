using System.Collections.Generic;
using System.CommandLine;
using System.Linq;

namespace Continuum.Cli;

/// <summary>`continuum fit`: the options and their meaning.</summary>
internal static class FitCommand
{
    private const string NeuralSde = "neural-sde";
    private const string NeuralCde = "neural-cde";
    private const int DefaultPaths = 1000;

    private const string Epilogue = """
        Rules:
          The last 30 % of the rows are held out (rounded to whole rows) unless --split says otherwise: the model is fitted to the
          others, forecasts the held-out ones and is compared with them.
          --split 1914 fits the rows up to that time; --split 70% fits that share of the rows; --split 100% holds out nothing and
          forecasts as many steps beyond the end as 30 % of the rows are.
          The folder out/<name of the CSV file> in the current folder takes the results unless --out names another. Files of an
          earlier fit in it are replaced, each whole, when the fit is done:
            model.safetensors   the fitted model, for continuum forecast or simulate
            forecast.csv        the forecast of the held-out times
            fit.png             data, fitted curve and forecast
          Meanwhile training.safetensors there holds the state of training. Ctrl+C ends a fit with exit code 130; the same command
          with --resume goes on from there, as it does after a crash, and starts at the beginning where there is no such file.

        --model neural-sde: random paths instead of one forecast, by a stochastic equation with networks for drift and volatility.
          Of columns that are all above 0 it models the logarithms. The held-out rows are compared with --paths simulated paths
          and with fitted geometric Brownian motion: log density, coverage, distances of marginals, autocorrelations, signatures.
          Instead of forecast.csv it writes quantiles.csv, those of the simulated paths; fit.png is a fan chart of them.

        --model neural-cde: predictions for subjects that were seen at irregular times with missing values (empty cells or NA), from
          a CSV file with a row for each visit. --columns are the observed ones [default: all numbers without another role],
          --static those that do not change within a subject; two words in such a column, as f and m, become 0 and 1.
          --split 70% fits that share of the subjects; the others are compared with a simple model. predictions.csv is of them.
          --task classification: --label names a column with the class of a subject. Or the class is whether an event comes within
          --horizon after --landmark, known from --event-time (when a subject's time ended) and --event-status COLUMN=1,2 (the
          values that are the event): only visits up to the landmark are seen, and subjects whose class nobody knows are left out.
          Compared with logistic regression on last values; roc.png.
          --task regression: --targets names columns of numbers, the same in all rows of a subject; with --landmark only visits up
          to it are seen. Compared with the mean; fit.png.
          --task forecast: the channels themselves at the visits after --landmark, up to --horizon later, or at the last quarter of
          each subject's visits, from those before. Compared with the last values carried forward; fit.png.

        Examples:
          continuum fit examples/data/lynx-hare.csv
          continuum fit examples/data/lynx-hare.csv --split 1910 --model mechanistic --out out/plain
          continuum fit data.csv --time day --columns prey,predator --prior lotka-volterra --iterations 500 --resume
          continuum fit examples/data/eu-stock-markets.csv --model neural-sde --split 80%
          continuum fit examples/data/pbcseq.csv --model neural-cde --time day --static age,sex,trt \
            --event-time futime --event-status status=1,2 --landmark 730.5 --horizon 1095.75
          continuum fit visits.csv --model neural-cde --static age --targets dose,outcome
          continuum fit examples/data/pbcseq.csv --model neural-cde --task forecast --time day --columns bili,albumin --static age,sex
        """;

    private static readonly Dictionary<string, ForecastModelKind> s_models = new()
    {
        ["hybrid"] = ForecastModelKind.Hybrid,
        ["neural-ode"] = ForecastModelKind.NeuralOde,
        ["mechanistic"] = ForecastModelKind.Mechanistic,
    };

    private static readonly Dictionary<string, NeuralCdeTask> s_tasks = new()
    {
        ["classification"] = NeuralCdeTask.Classification,
        ["regression"] = NeuralCdeTask.Regression,
        ["forecast"] = NeuralCdeTask.Forecast,
    };

    private static readonly string[] s_names = [.. s_models.Keys, NeuralSde, NeuralCde];

    private static readonly Argument<string> s_csv = new("csv")
    {
        Description = "The time series: a CSV file with a header, a column of rising times and columns of numbers",
    };

    private static readonly Option<string?> s_model = new("--model")
    {
        Description = "hybrid (a mechanism and a neural network that corrects it; the default), neural-ode, mechanistic, neural-sde or neural-cde",
        HelpName = "kind",
        CustomParser = result => Arguments.Read(result, text => s_names.Contains(text) ? text : null, string.Join(" or ", s_names)),
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
        Description = "The last time to fit, or the share of rows (or subjects) to fit [default: 70%]",
        HelpName = "time|share%",
        CustomParser = SplitRule.Parse,
    };

    private static readonly Option<string?> s_out = Arguments.Text("--out", "The folder for the results [default: out/<name of the CSV file>]", "folder");
    private static readonly Option<int?> s_paths = Arguments.Integer("--paths", "neural-sde: simulated paths [default: 1000]", least: 100);

    private static readonly Option<string?> s_task = new("--task")
    {
        Description = "neural-cde: classification, regression or forecast [default: regression with --targets, else classification]",
        HelpName = "kind",
        CustomParser = result => Arguments.Read(result, text => s_tasks.ContainsKey(text) ? text : null, string.Join(" or ", s_tasks.Keys)),
    };

    private static readonly Option<string?> s_id = Arguments.Text("--id", "neural-cde: the column that tells subjects apart [default: id, else the first]", "name");
    private static readonly Option<string[]?> s_static = Arguments.Names("--static", "neural-cde: the columns that do not change within a subject");
    private static readonly Option<string?> s_label = Arguments.Text("--label", "neural-cde: the column with the class of a subject", "name");
    private static readonly Option<string[]?> s_targets = Arguments.Names("--targets", "neural-cde: the columns of numbers to predict for a subject");
    private static readonly Option<string?> s_eventTime = Arguments.Text("--event-time", "neural-cde: the column that tells when a subject's time ended", "name");

    private static readonly Option<(string, double[])?> s_eventStatus = new("--event-status")
    {
        Description = "neural-cde: the column that tells how it ended, and which values are the event",
        HelpName = "name=x,x",
        CustomParser = result => Arguments.Read(result, ReadStatus, "a column and its values that are the event, such as status=1,2"),
    };

    private static readonly Option<double?> s_landmark = Arguments.Number("--landmark", "neural-cde: the time up to which visits are seen", "time", positive: false);
    private static readonly Option<double?> s_horizon = Arguments.Number("--horizon", "neural-cde: the length of time in which the event counts, or that is forecast", "length", positive: true);
    private static readonly Option<int?> s_iterations = Arguments.Integer("--iterations", "Training iterations [default: the model's]");
    private static readonly Option<double?> s_rate = Arguments.Number("--learning-rate", "The optimiser's step [default: the model's]", "x", positive: true);
    private static readonly Option<int[]?> s_hidden = Arguments.Integers("--hidden", "Widths of the network's hidden layers [default: 16,16; the model's for neural-sde and neural-cde]");
    private static readonly Option<int?> s_seed = Arguments.Integer("--seed", "Seed of all that is random; the same seed gives the same fit [default: 0]", least: 0);
    private static readonly Option<int?> s_threads = Arguments.Integer("--threads", "Threads of the computation [default: 1, the fastest for small models]");
    private static readonly Option<bool> s_resume = new("--resume") { Description = "Go on with a fit that was ended early" };
    private static readonly Option<bool> s_noPlot = new("--no-plot") { Description = "Draw no picture" };
    private static readonly Option<bool> s_quiet = new("--quiet") { Description = "Print nothing but failures" };

    internal static Command Create()
    {
        Command command = new("fit", "Fits a model to the first part of a time series and forecasts the rest, or to some of many series and predicts for the others.")
        {
            s_csv, s_model, s_prior, s_columns, s_time, s_dropMissing, s_split, s_out, s_iterations, s_rate, s_hidden, s_paths, s_task, s_id, s_static, s_label,
            s_targets, s_eventTime, s_eventStatus, s_landmark, s_horizon, s_seed, s_threads, s_resume, s_noPlot, s_quiet,
        };
        command.SetAction(Run);
        Help.Extend(command, Epilogue);
        return command;
    }

    private static int Run(ParseResult parsed)
    {
        string model = parsed.GetValue(s_model) ?? Name(ForecastModelKind.Hybrid);
        bool sde = model == NeuralSde;
        bool cde = model == NeuralCde;
        Refuse(parsed, model, sde || cde, s_prior);
        Refuse(parsed, model, cde, s_dropMissing);
        Refuse(parsed, model, !sde, s_paths);
        Refuse(parsed, model, !cde, s_task, s_id, s_static, s_label, s_targets, s_eventTime, s_eventStatus, s_landmark, s_horizon);
        FitArguments common = Read(parsed, sde || cde ? ForecastModelKind.Hybrid : s_models[model]);
        return sde ? SdeFitRun.Run(common, parsed.GetValue(s_paths) ?? DefaultPaths)
            : cde ? CdeFitRun.Run(ReadSubjects(parsed, common))
            : FitRun.Run(common);
    }

    private static void Refuse(ParseResult parsed, string model, bool foreign, params Option[] options)
    {
        if (foreign && options.FirstOrDefault(option => parsed.GetResult(option) is { Implicit: false }) is { } given)
        {
            throw new UsageException($"{given.Name} is not for the model {model}; see continuum fit --help");
        }
    }

    private static CdeFitArguments ReadSubjects(ParseResult parsed, FitArguments common) =>
        new()
        {
            Common = common,
            Id = parsed.GetValue(s_id),
            Statics = parsed.GetValue(s_static) ?? [],
            Label = parsed.GetValue(s_label),
            Targets = parsed.GetValue(s_targets) ?? [],
            Asked = parsed.GetValue(s_task) is { } task ? s_tasks[task] : null,
            EventTime = parsed.GetValue(s_eventTime),
            EventStatus = parsed.GetValue(s_eventStatus),
            Landmark = parsed.GetValue(s_landmark),
            Horizon = parsed.GetValue(s_horizon),
        };

    private static (string, double[])? ReadStatus(string text)
    {
        int equals = text.LastIndexOf('=');
        string[] values = equals > 0 ? text[(equals + 1)..].Split(',') : [];
        double[] numbers = [.. values.Select(value => Arguments.TryNumber(value, out double number) ? number : double.NaN)];
        return numbers.Length > 0 && numbers.All(double.IsFinite) ? (text[..equals].Trim(), numbers) : null;
    }

    private static FitArguments Read(ParseResult parsed, ForecastModelKind model) =>
        new()
        {
            Csv = parsed.GetRequiredValue(s_csv),
            Model = model,
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
