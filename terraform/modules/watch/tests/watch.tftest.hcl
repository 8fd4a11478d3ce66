mock_provider "aws" {
  mock_resource "aws_sns_topic" {
    defaults = { arn = "arn:aws:sns:us-east-1:111122223333:segue-alarms" }
  }
}

variables {
  name             = "segue"
  region           = "us-east-1"
  account_id       = "111122223333"
  kms_key_arn      = "arn:aws:kms:us-east-1:111122223333:key/00000000-0000-0000-0000-000000000000"
  queue_names      = { chunking = "segue-chunking", map = "segue-map", reassembly = "segue-reassembly" }
  dead_queue_names = { chunking = "segue-chunking-dead", map = "segue-map-dead", reassembly = "segue-reassembly-dead" }
  table_names      = { jobs = "segue-jobs" }
  log_group_names  = { sweeper = "/segue/sweeper", worker = "/segue/worker" }
  services         = { sweeper = "segue", worker = "segue" }
  sweeper          = { cluster = "segue", service = "sweeper" }
  cost_tag         = { key = "project", value = "segue" }
}

run "nothing_happens_unheard" {
  command = apply

  assert {
    condition     = { for lane, alarm in aws_cloudwatch_metric_alarm.dead : lane => [alarm.dimensions.QueueName, alarm.threshold] } == { chunking = ["segue-chunking-dead", 0], map = ["segue-map-dead", 0], reassembly = ["segue-reassembly-dead", 0] }
    error_message = "a message that is put aside is heard of at once"
  }

  assert {
    condition     = keys(aws_cloudwatch_metric_alarm.age) == ["chunking", "map", "reassembly"] && alltrue([for alarm in aws_cloudwatch_metric_alarm.age : alarm.metric_name == "ApproximateAgeOfOldestMessage"])
    error_message = "messages that wait"
  }

  # a sweeper that is gone sends no numbers: that is the alarm
  assert {
    condition     = aws_cloudwatch_metric_alarm.sweeper[0].treat_missing_data == "breaching"
    error_message = "nobody hears that the sweeper is gone"
  }

  assert {
    condition = alltrue([
      for alarm in concat(values(aws_cloudwatch_metric_alarm.dead), values(aws_cloudwatch_metric_alarm.age), [aws_cloudwatch_metric_alarm.stalled, aws_cloudwatch_metric_alarm.failed, aws_cloudwatch_metric_alarm.errors]) :
      contains(alarm.alarm_actions, aws_sns_topic.alarms.arn)
    ])
    error_message = "an alarm that reaches nobody"
  }

  assert {
    condition     = keys(aws_cloudwatch_log_metric_filter.this) == ["errors/sweeper", "errors/worker", "failed/worker", "stalled/sweeper"]
    error_message = "what is counted in which log"
  }

  assert {
    condition     = toset([for widget in jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets : widget.type]) == toset(["metric"]) && alltrue([for widget in jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets : length(widget.properties.metrics) > 0])
    error_message = "an empty picture"
  }

  assert {
    condition     = length(aws_budgets_budget.this) == 0 && length(aws_cloudwatch_metric_alarm.function) == 0
    error_message = "what was not asked for"
  }
}

run "a_budget_and_a_function" {
  command = apply

  variables {
    monthly_budget_usd = 100
    function_name      = "segue-ingest"
  }

  assert {
    condition     = one([for filter in aws_budgets_budget.this[0].cost_filter : filter.values]) == tolist(["user:project$segue"]) && length(aws_budgets_budget.this[0].notification) == 2
    error_message = "the budget counts by the tag, and says when it is nearly spent"
  }

  assert {
    condition     = length(aws_cloudwatch_metric_alarm.function) == 3
    error_message = "the function's errors"
  }
}
