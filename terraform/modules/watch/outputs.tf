output "topic_arn" {
  description = "Topic of the alarms."
  value       = aws_sns_topic.alarms.arn
}

output "patterns" {
  description = "What is looked for in logs."
  value       = { for saying, what in local.sayings : saying => what.pattern }
}
